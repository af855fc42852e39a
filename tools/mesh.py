"""Control planes of meshes and gateways, and the definitions of their resources: all from Go modules."""

import json
import os
import pathlib
import shutil
import subprocess

from installing import Failure, built, go, link, run

ENVOY_GATEWAY = "v1.9.1"
# The Gateway API that this Envoy Gateway is compiled with.
ENVOY_GATEWAY_API = "v1.6.1"


def envoy_gateway(base):
    """Links Envoy Gateway, its definitions and those of Gateway API."""
    directory = base / f"envoy-gateway-{ENVOY_GATEWAY}"
    program = directory / "envoy-gateway"
    module = f"github.com/envoyproxy/gateway@{ENVOY_GATEWAY}"

    def build(target):
        own = sources(base, module) / "charts/gateway-helm/charts/crds/crds/generated"
        standard = sources(base, f"sigs.k8s.io/gateway-api@{ENVOY_GATEWAY_API}") / "config/crd/standard"
        (target / "crds").mkdir(parents=True)
        for definition in [*own.glob("*.yaml"), *standard.glob("*.yaml")]:
            # There is a policy against downgrades, too: nothing that a test needs.
            if "_vap_" not in definition.name:
                shutil.copyfile(definition, target / "crds" / definition.name)
        print("tools: compiling envoy-gateway; this takes minutes, once")
        options = ["-trimpath", "-ldflags=-s -w"]
        environment = os.environ | {"GOBIN": str(target), "GOFLAGS": "-modcacherw"}
        run([go(base), "install", *options, module.replace("@", "/cmd/envoy-gateway@")], environment=environment)

    built(directory, f"{ENVOY_GATEWAY} {ENVOY_GATEWAY_API}", build, [program, "version"])
    link("bin/envoy-gateway", program)
    link("envoy-gateway-crds", directory / "crds")


def sources(base, module):
    """The sources of a module, where Go keeps them."""
    command = [go(base), "mod", "download", "-json", module]
    environment = os.environ | {"GOFLAGS": "-modcacherw"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode != 0:
        raise Failure(f"`go mod download {module}` failed:\n{ended.stdout}{ended.stderr}")
    return pathlib.Path(json.loads(ended.stdout)["Dir"])

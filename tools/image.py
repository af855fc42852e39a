"""Builds the container image without a container engine: an OCI archive, the same bytes for the same input.

usage: image.py [--out DIRECTORY] [--target TRIPLE]...            compile, then pack: what `make image` does
       image.py [--out DIRECTORY] --binary ARCHITECTURE=FILE...   pack static binaries that are there already

The image is `FROM scratch`: `/entrance`, Mozilla's certificate authorities (of the pinned Python package `certifi`)
where TLS libraries look for them, an empty `/tmp`, and nothing else; it runs as user 65532. Several targets give one
archive with an index by architecture. Beside it lies a bill of materials (CycloneDX) of what is compiled in.

    target/image/entrance-VERSION.oci.tar      for `skopeo copy oci-archive:…`, `podman load`, `ctr images import`
    target/image/entrance-VERSION.cdx.json

Compiling wants the Rust target (`rustup target add`) and a C compiler for musl: `musl-gcc` of Debian's musl-tools for
this machine's architecture; for others name one in `CC_<target>`, as the crate `cc` reads it. Names of this machine's
directories are taken out of the binary, times are those of `SOURCE_DATE_EPOCH`, 1970 if it is not set.
"""

import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

import sbom

ROOT = pathlib.Path(__file__).resolve().parent.parent
AUTHORITIES = ROOT / ".tools" / "venv" / "bin" / "python"
ARCHITECTURES = {"x86_64-unknown-linux-musl": "amd64", "aarch64-unknown-linux-musl": "arm64"}
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
USER = 65532
NAME = "localhost/entrance"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Failure(Exception):
    """A message for whoever ran this."""


def version():
    """The version of the package."""
    manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)[1]


def compiled(target):
    """A static binary for the target, with nothing of this machine in it."""
    environment = dict(os.environ)
    key = target.replace("-", "_")
    environment.setdefault(f"CC_{key}", "musl-gcc" if target.startswith("x86_64") else f"{target}-gcc")
    compiler = environment[f"CC_{key}"]
    if shutil.which(compiler) is None:
        raise Failure(f"there is no `{compiler}`: install musl-tools, or name a C compiler for musl in CC_{key}")
    home = os.environ.get("CARGO_HOME") or str(pathlib.Path.home() / ".cargo")
    output = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
    # Later ones win: the output may lie inside the clone.
    places = {str(ROOT): "/src", home: "/cargo", str(output): "/target"}
    remapped = [f"--remap-path-prefix={place}={name}" for place, name in places.items()]
    environment["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join([*remapped, "-Ctarget-feature=+crt-static"])
    environment[f"CFLAGS_{key}"] = " ".join(f"-ffile-prefix-map={place}={name}" for place, name in places.items())
    environment["CARGO_PROFILE_RELEASE_STRIP"] = "symbols"
    environment["SOURCE_DATE_EPOCH"] = str(EPOCH)
    command = ["cargo", "build", "--release", "--locked", "--no-default-features", "--bin", "entrance"]
    ended = subprocess.run([*command, "--target", target], cwd=ROOT, env=environment, check=False)
    if ended.returncode != 0:
        raise Failure(f"`{' '.join(command)}` failed; is the target there? `rustup target add {target}`")
    return output / target / "release" / "entrance"


def static(binary):
    """The binary's bytes; it must be an ELF program that asks for no loader."""
    content = binary.read_bytes()
    if content[:5] != b"\x7fELF\x02":
        raise Failure(f"`{binary}` is not a 64-bit ELF program")
    offset, size, count = (
        int.from_bytes(content[32:40], "little"),
        int.from_bytes(content[54:56], "little"),
        int.from_bytes(content[56:58], "little"),
    )
    headers = (content[offset + size * at : offset + size * at + 4] for at in range(count))
    # PT_INTERP: the path of a dynamic loader, which an empty image does not have.
    if any(int.from_bytes(kind, "little") == 3 for kind in headers):
        raise Failure(f"`{binary}` wants a dynamic loader: link it statically, for a musl target")
    return content


def authorities():
    """Mozilla's certificate authorities, of the pinned package."""
    if not AUTHORITIES.exists():
        raise Failure("the certificate authorities come with the tools: `make tools`")
    script = "import certifi; print(certifi.contents(), end='')"
    return subprocess.run([AUTHORITIES, "-c", script], stdout=subprocess.PIPE, check=True).stdout


def layer(binary):
    """The file system as a tar archive: sorted, of root, at one time."""
    files = {
        "entrance": (0o755, static(binary)),
        "etc/": (0o755, b""),
        "etc/ssl/": (0o755, b""),
        "etc/ssl/certs/": (0o755, b""),
        "etc/ssl/certs/ca-certificates.crt": (0o644, authorities()),
        # For `--audit file:` and `--state` without a volume the root is read-only anyway; programs expect this one.
        "tmp/": (0o1777, b""),
    }
    return archive(files)


def archive(files):
    """A tar archive that depends on names, modes and contents only."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (mode, content) in sorted(files.items()):
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            entry.mode, entry.mtime, entry.size = mode, EPOCH, len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class Layout:
    """An OCI image layout under construction."""

    def __init__(self):
        self.files = {"blobs/": (0o755, b""), "blobs/sha256/": (0o755, b"")}

    def blob(self, media_type, content):
        """Keeps a blob; the answer describes it."""
        digest = hashlib.sha256(content).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = (0o644, content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def document(self, media_type, body):
        """The same of a JSON document."""
        return self.blob(media_type, encoded(body))

    def image(self, architecture, binary):
        """One image; the answer describes its manifest."""
        tar = layer(binary)
        created = datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        config = {
            "created": created,
            "architecture": architecture,
            "os": "linux",
            "config": {
                "User": f"{USER}:{USER}",
                "Entrypoint": ["/entrance"],
                "Cmd": ["--help"],
                "Env": ["PATH=/"],
                "WorkingDir": "/",
                "Labels": labels(),
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
            "history": [{"created": created, "created_by": "tools/image.py"}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.document(CONFIG, config),
            "layers": [self.blob(LAYER, gzip.compress(tar, 9, mtime=0))],
            "annotations": labels(),
        }
        described = self.document(MANIFEST, manifest)
        return described | {"platform": {"architecture": architecture, "os": "linux"}}

    def finish(self, images):
        """The archive, and what describes the image: a manifest, or an index of several."""
        top = images[0]
        if len(images) > 1:
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images, "annotations": labels()}
            top = self.document(INDEX, index)
        name = {
            "org.opencontainers.image.ref.name": version(),
            "io.containerd.image.name": f"{NAME}:{version()}",
        }
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [top | {"annotations": name}]}
        self.files["index.json"] = (0o644, encoded(index))
        self.files["oci-layout"] = (0o644, encoded({"imageLayoutVersion": "1.0.0"}))
        return archive(self.files), top


def labels():
    """What the image says of itself."""
    return {
        "org.opencontainers.image.title": "entrance",
        "org.opencontainers.image.description": "Authorization for Envoy by Microsoft Entra ID tokens",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": version(),
    }


def proof(binary):
    """Runs the binary in an empty file system, with an empty environment: its version, and two decisions."""
    test = ROOT / "charts" / "entrance" / "files" / "test"
    with tempfile.TemporaryDirectory() as place:
        root = pathlib.Path(place)
        with tarfile.open(fileobj=io.BytesIO(layer(binary))) as tar:
            tar.extractall(root, filter="tar")
        shutil.copytree(test, root / "test")
        (root / "test" / "jwks.json").rename(root / "jwks")
        # Only root may change roots; others run the same file in place.
        chroot = shutil.which("chroot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        alone = os.geteuid() == 0 and chroot is not None
        inside = pathlib.Path("/") if alone else root
        command = [chroot, f"--userspec={USER}:{USER}", root, "/entrance"] if alone else [root / "entrance"]
        root.chmod(0o755)
        keys = [f"--policies={inside / 'test'}", f"--jwks={inside / 'jwks'}", "--now=2026-01-01T00:01:00Z"]
        request = [f"--token={inside / 'test' / 'token'}", "--url=https://orders.example.com/orders/7"]
        check = ["check", *keys, *request]
        for asked in (["--version"], [*check, "--expect=allow"], [*check, "--method=POST", "--expect=no_route"]):
            ran = subprocess.run([*command, *asked], env={}, stdout=subprocess.PIPE, text=True, check=True)
            print(f"  {ran.stdout.splitlines()[0]}")


def encoded(body):
    """JSON, always the same."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def arguments():
    """What was asked for."""
    parser = argparse.ArgumentParser(description="Builds the container image as an OCI archive.")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target" / "image", help="where to write")
    parser.add_argument("--target", action="append", choices=ARCHITECTURES, help="compile for this target")
    parser.add_argument("--binary", action="append", help="ARCHITECTURE=FILE: pack this binary, compile nothing")
    return parser.parse_args()


def binaries(asked):
    """Binaries by architecture."""
    if asked.binary:
        return [tuple(pair.split("=", 1)) for pair in asked.binary]
    targets = asked.target or ["x86_64-unknown-linux-musl"]
    return [(ARCHITECTURES[target], compiled(target)) for target in targets]


def write(asked):
    """Builds and writes everything, and says what came out."""
    layout = Layout()
    built = {architecture: pathlib.Path(file) for architecture, file in binaries(asked)}
    images = [layout.image(architecture, file) for architecture, file in built.items()]
    content, top = layout.finish(images)
    asked.out.mkdir(parents=True, exist_ok=True)
    name = f"entrance-{version()}"
    (asked.out / f"{name}.oci.tar").write_bytes(content)
    (asked.out / f"{name}.cdx.json").write_bytes(sbom.document(ROOT, EPOCH))
    print(f"{asked.out / name}.oci.tar: {len(content) / 2**20:.1f} MiB, {top['digest']}")
    if "amd64" in built and not asked.binary and platform.machine() == "x86_64":
        proof(built["amd64"])
    for image in images:
        print(f"  {image['platform']['os']}/{image['platform']['architecture']} {image['digest']}")
    print(f"{asked.out / name}.cdx.json")


def main():
    """Builds the image."""
    try:
        write(arguments())
    except (Failure, OSError, subprocess.CalledProcessError) as failure:
        print(f"image: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

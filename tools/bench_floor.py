#!/usr/bin/env python3
"""Measures what a check costs, as a ratio to a server that always allows.

Entrance is built as it is released, without the emulator. Starts both servers on loopback in turn, drives them with the
same load in alternating rounds, and compares the CPU time that each spends on a check. Prints the bars of docs/performance.md beside what came out, and exits 1 if one is missed.

    tools/bench_floor.py                    # builds both, measures everything (some minutes)
    tools/bench_floor.py --only cached,rss  # cached, fresh, routes, rss

Needs h2load (Debian and Ubuntu: apt-get install nghttp2-client) and a machine that has little else to do.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHECK = "/envoy.service.auth.v3.Authorization/Check"
TICKS = os.sysconf("SC_CLK_TCK")
CASES = ("cached", "fresh", "routes", "rss")


def main():
    options = arguments()
    if not shutil.which("h2load"):
        sys.exit("h2load is not on PATH; on Debian and Ubuntu: apt-get install nghttp2-client")
    floor = options.floor or built("bench", "--bench", "floor")
    entrance = options.entrance or built("build", "--release", "--no-default-features", "--bin", "entrance")
    with tempfile.TemporaryDirectory(prefix="entrance-bench-") as directory:
        bench = Bench(entrance, floor, pathlib.Path(directory), options)
        run([floor, "prepare", directory])
        rows = [row for case in CASES if case in options.only for row in getattr(bench, case)()]
    width = max(len(name) for name, *_ in rows)
    print()
    for name, value, bar, unit in rows:
        verdict = "" if bar is None else f"bar {bar:g}{unit}: {'holds' if value <= bar else 'MISSED'}"
        print(f"{name:{width}}  {value:8.2f}{unit:6} {verdict}")
    sys.exit(any(bar is not None and value > bar for _, value, bar, _ in rows))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entrance", help="the entrance binary, instead of building one")
    parser.add_argument("--floor", help="the floor binary, instead of building one")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each server")
    parser.add_argument("--requests", type=int, default=60_000, help="checks of one round")
    parser.add_argument("--only", type=lambda text: text.split(","), default=CASES, help="some of " + ",".join(CASES))
    options = parser.parse_args()
    unknown = set(options.only) - set(CASES)
    if unknown:
        parser.error(f"unknown case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    return options


def built(command, *what):
    """Builds one executable and returns its path."""
    line = ["cargo", command, "--locked", *what, "--message-format=json"]
    if command == "bench":
        line.insert(2, "--no-run")
    output = run(line, cwd=ROOT)
    paths = [json.loads(text).get("executable") for text in output.splitlines()]
    return next(path for path in reversed(paths) if path)


def run(command, **more):
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server."""

    def __init__(self, process, address, admin=None):
        self.process, self.address, self.admin = process, address, admin

    def cpu(self):
        """Seconds of CPU time that it spent so far, in user and kernel mode."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS

    def rss(self):
        """Resident memory in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M).group(1)) / 1024

    def metric(self, series):
        page = urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=5).read().decode()
        return float(re.search(rf"^{re.escape(series)} (\S+)$", page, re.M).group(1))

    def wait(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                sys.exit(f"{self.process.args[0]} ended with {self.process.returncode}")
            with contextlib.suppress(OSError):
                if self.admin:
                    urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=1).close()
                host, _, port = self.address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=1).close()
                return self
            time.sleep(0.05)
        sys.exit(f"{self.process.args[0]} is not ready after two minutes")


class Bench:
    def __init__(self, entrance, floor, directory, options):
        self.entrance, self.floor, self.directory, self.options = entrance, floor, directory, options

    @contextlib.contextmanager
    def started(self, command, address, admin=None):
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield Server(process, address, admin).wait()
        finally:
            process.kill()
            process.wait()

    def always_allows(self):
        address = f"127.0.0.1:{free_port()}"
        return self.started([self.floor, "serve", address], address)

    def decides(self, policies):
        address, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        audit = self.directory / f"audit-{policies}.log"
        command = [self.entrance, "serve", "--policies", self.directory / f"policies-{policies}"]
        command += ["--listen", address, "--admin", admin, "--audit", f"file:{audit}"]
        return self.started(command, address, admin)

    # --- loads: each returns the number of checks

    def h2load(self, server):
        count = self.options.requests
        command = ["h2load", "-n", count, "-c", 8, "-m", 16, "-t", 1, "-d", self.directory / "check.bin"]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers", f"http://{server.address}{CHECK}"]
        output = run(command)
        done = int(re.search(r"(\d+) succeeded", output).group(1))
        if done != count:
            sys.exit(f"only {done} of {count} checks succeeded:\n{output}")
        return count

    def each_once(self, server, file="checks.bin", *count):
        sent, permits = map(int, run([self.floor, "load", server.address, self.directory / file, *count]).split())
        if sent != permits:
            sys.exit(f"only {permits} of {sent} checks were permitted")
        return sent

    def one_again(self, server):
        """The check of a remembered token, sent like those of new tokens."""
        return self.each_once(server, "check.bin", 20_000)

    # --- measuring

    def compare(self, title, load, first, second):
        """Microseconds of CPU per check of two servers, and the median of the rounds' ratios."""
        for server in (first, second):
            self.each_once(server, "check.bin")
            load(server)
        costs = ([], [])
        for _ in range(self.options.rounds):
            for server, of_server in zip((first, second), costs):
                before = server.cpu()
                count = load(server)
                of_server.append((server.cpu() - before) / count * 1e6)
        one, other = map(statistics.median, costs)
        ratio = statistics.median(b / a for a, b in zip(*costs))
        print(f"{title}: {one:.2f} and {other:.2f} µs of CPU a check, ratio {ratio:.3f}", flush=True)
        return one, other, ratio

    def cached(self):
        with self.always_allows() as floor, self.decides("one") as entrance:
            *_, ratio = self.compare("floor, remembered token", self.h2load, floor, entrance)
            lost = entrance.metric('entrance_audit_records_total{result="lost"}')
            written = entrance.metric('entrance_audit_records_total{result="written"}')
        print(f"audit records: {written:.0f} written, {lost:.0f} lost")
        return [("remembered token, audit on, to floor", ratio, 1.0, " x")]

    def fresh(self):
        nanoseconds = float(run([self.floor, "verify", 20_000]))
        with self.always_allows() as floor, self.decides("one") as entrance:
            misses = lambda: entrance.metric('entrance_token_cache_total{result="miss"}')
            before = misses()
            one, other, _ = self.compare("floor, new token", self.each_once, floor, entrance)
            missed = misses() - before
            # the same token by the same means, to tell what is the token's from what is the load's
            self.compare("the same load, remembered token", self.one_again, floor, entrance)
        print(f"one RSA-2048 verification: {nanoseconds / 1000:.2f} µs; {missed:.0f} tokens were new")
        return [("new token above floor, to one RSA verification", (other - one) * 1000 / nanoseconds, 1.3, " x")]

    def routes(self):
        with self.decides("one") as one, self.decides("routes") as many:
            *_, ratio = self.compare("1 route, 100,000 routes", self.h2load, one, many)
        return [("100,000 routes, to 1 route", ratio, 1.2, " x")]

    def rss(self):
        rows = []
        for policies, count, bar in (("hundred", "100", 20), ("many", "10,000", 150)):
            with self.decides(policies) as entrance:
                time.sleep(5)
                rows.append((f"idle with {count} policies", entrance.rss(), bar, " MiB"))
        return rows


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Starts stenod over a table of many jobs that are done, and asks it for its status.

The start is from the call until the program says that it is ready (as it tells systemd); `status` is a whole
process, while the other runs and after it has ended. Medians of the turns.

    python3 benches/compare/status.py [--jobs 1000,10000,100000] [--turns 5]

The table is filled by running that many small recordings through the stand-in, which takes a while; in memory
(`--scratch /dev/shm`) a shorter one.
"""

import argparse
import signal
import socket
import statistics
import subprocess
import time

import material
from measured import load, measured

PATIENCE = 60.0


def started(command, scratch):
    """The process, seconds until it was ready."""
    path = scratch / "notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(path))
        ready.settimeout(PATIENCE)
        environment = {**material.environment(), "NOTIFY_SOCKET": str(path)}
        began = time.perf_counter()
        child = subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.DEVNULL)
        while b"READY=1" not in ready.recv(4096):
            pass
        return child, time.perf_counter() - began


def grow(jobs, scratch):
    material.tree(scratch / "in", jobs, max(1, jobs // 20))


def compare(jobs, options, program, bench, scratch):
    tree, state, empty = scratch / "in", scratch / "state", scratch / "empty"
    empty.mkdir()
    with material.Service(bench) as service:
        config = material.configured(scratch / "fill.toml", state, tree, scratch / "out", service.url)
        subprocess.run([bench, "small", config], check=True, env=material.environment(), stdout=subprocess.DEVNULL)
    # The start alone, not the scan that follows it.
    config = material.configured(scratch / "config.toml", state, empty, scratch / "out")
    status = [program, "-c", config, "status"]
    starts, while_running, alone = [], [], []
    print(f"{jobs} jobs done, a table of {(state / 'stenod.db').stat().st_size / 1e6:.0f} MB, {load()}")
    for _ in range(options.turns):
        child, seconds = started([program, "-c", config, "-q", "watch"], scratch)
        starts.append(seconds)
        for costs in (while_running, alone):
            if costs is alone:
                child.send_signal(signal.SIGTERM)
                child.wait()
            costs.append(measured(status, stdout=subprocess.DEVNULL, env=material.environment()))
    print(f"  start          {1000 * statistics.median(starts):7.1f} ms")
    for what, costs in (("status, running", while_running), ("status, alone", alone)):
        wall, cpu = (statistics.median(1000 * each[place] for each in costs) for place in (0, 1))
        print(f"  {what:15}{wall:7.1f} ms  {cpu:7.1f} ms CPU", flush=True)


def main():
    parser = material.with_programs(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--jobs", default="1000,10000,100000")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    program, bench = material.built(options)
    with material.aged(options, options.jobs, grow) as grown:
        for jobs, scratch in grown:
            compare(jobs, options, program, bench, scratch)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A daemon with nothing to do, over so many files that it knows in so many watched folders.

Resident memory (which is beside what the kernel keeps for the watches), that of it which is not mapped from a file,
and how often a thread of it was woken and how much CPU time it took while nothing happened.

    python3 benches/compare/idle.py [--files 1000,10000,100000] [--seconds 60]

A folder for each 20 files.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import time

import material
import status
from measured import load

A_FOLDER = 20


def kept(pid):
    """Resident MiB, all of it and what is anonymous."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return [int(values[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon")]


def woken(pid):
    """How often its threads gave up the processor to wait, and seconds of CPU."""
    waits = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for line in (thread / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                waits += int(line.split()[1])
    times = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return waits, (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def grow(files, scratch):
    material.tree(scratch / "in", files, max(1, files // A_FOLDER))


def compare(files, options, program, scratch):
    folders = max(1, files // A_FOLDER)
    config = material.configured(scratch / "config.toml", scratch / "state", scratch / "in", scratch / "out",
                                 more='min_length = "1h"\n')
    subprocess.run([program, "-c", config, "-q", "run", "--yes"], check=True, env=material.environment(),
                   stdout=subprocess.DEVNULL)
    print(f"{files} files in {folders} folders, {load()}")
    child, seconds = status.started([program, "-c", config, "-q", "watch"], scratch)
    try:
        # The first scan comes after the start.
        time.sleep(10 + files / 10000)
        waits, cpu = woken(child.pid)
        time.sleep(options.seconds)
        again, more = woken(child.pid)
        resident, anonymous = kept(child.pid)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
    print(f"  ready after {seconds:.2f} s   {resident:5.1f} MiB resident, {anonymous:5.1f} MiB of it not of a file   "
          f"{again - waits} wake-ups and {more - cpu:.2f} s CPU in {options.seconds} s", flush=True)


def main():
    parser = material.with_programs(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--files", default="1000,10000,100000")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    program, _ = material.built(options)
    with material.aged(options, options.files, grow) as grown:
        for files, scratch in grown:
            compare(files, options, program, scratch)


if __name__ == "__main__":
    main()

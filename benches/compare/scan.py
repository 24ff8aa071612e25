#!/usr/bin/env python3
"""Scans a tree of small recordings: the walk alone, the first scan of all, and another with everything known.

Beside the walk `find -printf` and, where it is there, `fd`; beside the first scan, which reads every file once,
`sha256sum` of every file. Seconds of CPU and of wall time, medians of the turns, and ratios of CPU time. Of the
scan with everything known the system calls are counted too (with `strace`, if there is one): it must not open a
single recording.

    python3 benches/compare/scan.py [--files 10000,30000,100000] [--turns 3]

A folder for each 20 files. What was made has to be two minutes old before it is scanned.
"""

import argparse
import re
import shutil
import subprocess
import sys

import material
from measured import load, measured, medians

QUIET = {"stdout": subprocess.DEVNULL}
A_FOLDER = 20


def turns_of(count, command, before=None):
    costs = []
    for _ in range(count):
        if before:
            before()
        costs.append(measured(command, env=material.environment(), **QUIET))
    return medians(costs)


def told(what, cost, beside=None):
    ratio = f"  {cost.cpu / beside.cpu:6.2f} x" if beside else ""
    print(f"  {what:34} {cost.cpu:7.2f} s CPU  {cost.wall:7.2f} s{ratio}", flush=True)


def calls(command, folder, log):
    """How often the system was asked by `command`, and how often that was to open a file below `folder`."""
    subprocess.run(["strace", "-f", "-o", str(log), *map(str, command)], check=True, env=material.environment(), **QUIET)
    opened = re.compile(rf'open(at)?\(.*"{re.escape(str(folder))}/[^"]*\.wav"')
    lines = log.read_text(errors="replace").splitlines()
    return len(lines), sum(1 for line in lines if opened.search(line))


def grow(files, scratch):
    material.tree(scratch / "in", files, max(1, files // A_FOLDER))


def compare(files, options, program, bench, scratch):
    folders = max(1, files // A_FOLDER)
    tree, state = scratch / "in", scratch / "state"
    config = material.configured(scratch / "config.toml", state, tree, scratch / "out", more='min_length = "1h"\n')
    print(f"{files} files in {folders} folders, {load()}")
    find = turns_of(options.turns, ["find", tree, "-printf", "%p %s %T@ %i\\n"])
    told("find -printf", find)
    fd = shutil.which("fd") or shutil.which("fdfind")
    if fd:
        told("fd --type f", turns_of(options.turns, [fd, "--type", "f", ".", tree]), find)
    told("walk, to find", turns_of(options.turns, [bench, "walk", tree]), find)
    digest = turns_of(options.turns, ["sh", "-c", f"find '{tree}' -type f -print0 | xargs -0 sha256sum"])
    told("sha256sum of every file", digest)
    run = [program, "-c", config, "-q", "run", "--yes"]
    first = turns_of(options.turns, run, lambda: shutil.rmtree(state, ignore_errors=True))
    told("first scan, to sha256sum", first, digest)
    known = turns_of(options.turns, run)
    told("again, all known, to find", known, find)
    if shutil.which("strace"):
        count, opened = calls(run, tree, scratch / "calls")
        print(f"  again: {count / files:.2f} calls of the system a file, {opened} recordings opened")
        if opened:
            sys.exit("a recording that is known was opened")


def main():
    parser = material.with_programs(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--files", default="10000,30000,100000")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    program, bench = material.built(options)
    with material.aged(options, options.files, grow) as grown:
        for files, scratch in grown:
            compare(files, options, program, bench, scratch)


if __name__ == "__main__":
    main()

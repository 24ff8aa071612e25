#!/usr/bin/env python3
"""How large the program is, with the weights of the recogniser and without, how long `--help` takes, and how many
crates it is made of.

    python3 benches/compare/size.py [--turns 200]
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

from measured import load
from material import ROOT


def build(features, folder):
    """The program with these features, built into a folder of its own, and how long that took."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(folder)}
    began = time.perf_counter()
    subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "stenod", *features], cwd=ROOT, check=True,
                   env=environment)
    return folder / "release/stenod", time.perf_counter() - began


def crates():
    """How many crates the program is built of, as .ci/run counts them."""
    counted = subprocess.run(["bash", ROOT / ".ci/crates"], check=True, capture_output=True, text=True)
    return counted.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--program", type=pathlib.Path, help="a built stenod, instead of building it")
    parser.add_argument("--without", type=pathlib.Path, help="one without the recogniser, instead of building it")
    options = parser.parse_args()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    programs = {"stenod": (options.program, [], target / "size"),
                "without weights": (options.without, ["--no-default-features"], target / "size-without")}
    print(load())
    for name, (program, features, folder) in programs.items():
        if program is None:
            program, seconds = build(features, folder)
            print(f"{name:16} built in {seconds:.0f} s")
        times = []
        for _ in range(options.turns):
            began = time.perf_counter()
            subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL)
            times.append(1000 * (time.perf_counter() - began))
        print(f"{name:16} {program.stat().st_size / 1e6:6.1f} MB   --help {statistics.median(times):5.2f} ms")
    print(crates())


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""How large the program is as packages hold it (the profile `dist`) and as `cargo build --release` makes it, with the
weights of the recogniser and without, how long `--help` takes, how long a clean build takes, and how many crates it is
made of.

    python3 benches/compare/size.py [--turns 200]
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from measured import load, measured
from material import ROOT


def build(profile, features, folder):
    """The program by this profile and with these features, built into a folder of its own from nothing, and the wall
    and CPU seconds of that."""
    shutil.rmtree(folder, ignore_errors=True)
    environment = {**os.environ, "CARGO_TARGET_DIR": str(folder)}
    cost = measured(["cargo", "build", "--locked", "--profile", profile, "--quiet", "--bin", "stenod", *features],
                    cwd=ROOT, env=environment)
    return folder / profile / "stenod", cost


def crates():
    """How many crates the program is built of, as .ci/run counts them."""
    counted = subprocess.run(["bash", ROOT / ".ci/crates"], check=True, capture_output=True, text=True)
    return counted.stdout.strip()


def tell(name, program, turns):
    """Prints the row of one program."""
    times = []
    for _ in range(turns):
        began = time.perf_counter()
        subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(1000 * (time.perf_counter() - began))
    print(f"{name:24} {program.stat().st_size / 1e6:6.1f} MB   --help {statistics.median(times):5.2f} ms", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--programs", type=pathlib.Path, nargs="*", help="built programs, instead of building them")
    parser.add_argument("--profiles", default="dist,release", help="by which profiles (default: dist,release)")
    options = parser.parse_args()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    print(load())
    for program in options.programs or []:
        tell(str(program), program, options.turns)
    if not options.programs:
        for profile in options.profiles.split(","):
            for name, features in (("", []), (", without weights", ["--no-default-features"])):
                program, cost = build(profile, features, target / "size")
                print(f"{profile + name:24} built in {cost.wall:.0f} s, {cost.cpu:.0f} s of CPU")
                tell(profile + name, program, options.turns)
    print(crates())


if __name__ == "__main__":
    sys.exit(main())

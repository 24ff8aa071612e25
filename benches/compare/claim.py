#!/usr/bin/env python3
"""Claims the next recording where so many are queued: microseconds at the median and p99, and what grows.

On a disk a claim is one sync and little else; in memory (`--scratch /dev/shm`) it is the claim itself.

    python3 benches/compare/claim.py [--rows 1000,30000,1000000] [--scratch /dev/shm]
"""

import argparse
import json
import subprocess
import sys
import tempfile

import material
from measured import load


def main():
    parser = material.with_programs(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--rows", default="1000,30000,1000000")
    options = parser.parse_args()
    _, bench = material.built(options)
    print(load())
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        command = [bench, "claims", scratch, *options.rows.split(",")]
        first = None
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as child:
            for row in map(json.loads, child.stdout):
                first = first or row["median_us"]
                print(f"{row['queued']:8} queued  {row['median_us']:8.0f} us  p99 {row['p99_us']:8.0f} us  "
                      f"{row['median_us'] / first:5.2f} x   queued in {row['fill_seconds']:.1f} s", flush=True)
    if child.returncode != 0:
        sys.exit(f"bench failed with {child.returncode}")


if __name__ == "__main__":
    main()

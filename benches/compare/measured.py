"""What one run of a program costs, for the scripts beside this one."""

import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple


class Cost(NamedTuple):
    """Of one run: seconds of wall time, seconds of CPU (user and system), peak resident MiB."""

    wall: float
    cpu: float
    memory: float


def measured(command, **options):
    """Runs a program to its end and gives its `Cost`; one that fails ends the script."""
    began = time.perf_counter()
    child = subprocess.Popen([str(part) for part in command], **options)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command[0]} failed with {child.returncode}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def medians(costs):
    """The median of each column."""
    return Cost(*(statistics.median(column) for column in zip(*costs)))


def load():
    """What else the machine is doing, as a line."""
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"

#!/usr/bin/env python3
"""Transcribes many small recordings through a stand-in of the service that answers at once, all records durable.

Recordings a second from the table to outputs on the disk, with the limit of requests a second lifted (the program
allows 25), and the syncs that this took for each. Beside it queues that commit every change of state for itself,
on the same disk: litequeue and persist-queue, where they can be imported, doing five changes for each message
(queued, submitting, committing, received, done), which is what stenod records of a recording beside its money.

    python3 -m venv queues && queues/bin/pip install litequeue persist-queue
    queues/bin/python benches/compare/small.py [--recordings 300,1000,3000] [--turns 3]
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time

import material
from measured import load, measured

CHANGES = 5
A_FOLDER = 20


def small(bench, config, prefix=()):
    """One run of the bench: what it tells, and its CPU seconds."""
    with tempfile.TemporaryFile("w+") as out:
        cost = measured([*prefix, bench, "small", config], stdout=out, env=material.environment())
        out.seek(0)
        return json.loads(out.read()), cost


def syncs(log):
    """The calls of a kind that `strace -c` counted, by name."""
    counts = {}
    for line in log.read_text().splitlines():
        words = line.split()
        if words and words[-1] in ("fsync", "fdatasync", "syncfs"):
            counts[words[-1]] = int(words[3])
    return counts


def lite(folder, messages):
    """Changes of state a second by litequeue, with every commit on the disk."""
    from litequeue import LiteQueue

    queue = LiteQueue(str(folder / "lite.db"))
    queue.conn.execute("PRAGMA synchronous = FULL")
    began = time.perf_counter()
    for number in range(messages):
        queue.put(str(number))
        message = queue.pop()
        queue.done(message.message_id)
    return 3 * messages / (time.perf_counter() - began)


def persistent(folder, messages):
    """The same by persist-queue, with acknowledgements."""
    from persistqueue import SQLiteAckQueue

    queue = SQLiteAckQueue(str(folder / "persist"), auto_commit=True)
    began = time.perf_counter()
    for number in range(messages):
        queue.put(str(number))
        queue.ack(queue.get())
    return 3 * messages / (time.perf_counter() - began)


def others(scratch, messages):
    """Recordings a second that the changes of others would suffice for, by name."""
    rates = {}
    for name, run in [("litequeue", lite), ("persist-queue", persistent)]:
        folder = scratch / name
        folder.mkdir()
        try:
            rates[name] = run(folder, messages) / CHANGES
        except ImportError:
            print(f"  {name} cannot be imported")
        shutil.rmtree(folder)
    return rates


def grow(count, scratch):
    material.tree(scratch / "in", count, max(1, count // A_FOLDER))


def compare(count, options, bench, scratch):
    tree, state, out = scratch / "in", scratch / "state", scratch / "out"
    rates, cpus, beside = [], [], []
    print(f"{count} recordings, {load()}")
    for turn in range(options.turns + 1):
        for old in (state, out):
            shutil.rmtree(old, ignore_errors=True)
        with material.Service(bench) as service:
            config = material.configured(scratch / "config.toml", state, tree, out, service.url)
            # Counted in a turn of its own: who is watched is slow.
            counted = turn == options.turns and shutil.which("strace")
            log = scratch / "calls"
            prefix = ["strace", "-f", "-c", "-o", log] if counted else []
            if turn == options.turns and not counted:
                break
            told, cost = small(bench, config, prefix)
        assert told["done"] == count, told
        if counted:
            each = {name: round(calls / count, 2) for name, calls in syncs(log).items()}
            print(f"  syncs for each, taking in and outputs included: {each}")
            break
        rates.append(count / told["work_seconds"])
        cpus.append(1000 * cost.cpu / count)
        beside.append(others(scratch, min(count, 300)))
    rate = statistics.median(rates)
    print(f"  stenod         {rate:8.0f} recordings a second  {statistics.median(cpus):6.2f} ms CPU each")
    for name in beside[0]:
        other = statistics.median(each[name] for each in beside)
        print(f"  {name:14} {other:8.0f} recordings a second  {rate / other:6.2f} x is stenod", flush=True)


def main():
    parser = material.with_programs(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--recordings", default="300,1000,3000")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    _, bench = material.built(options)
    with material.aged(options, options.recordings, grow) as grown:
        for count, scratch in grown:
            compare(count, options, bench, scratch)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Shrinks an hour of speech with stenod and with ffmpeg (libopus, by the same settings and by its own), in turn.

Prints CPU seconds (user and system), peak resident memory and size of each, and their ratios. Needs ffmpeg.
`--minutes N` for less than an hour, `--program PATH` for a built example instead of building it.
"""

import argparse
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEECH = ROOT / "examples/recordings/two-cities.ogg"
KBPS = "24"
# What stenod's encoder is set to: one channel at 16 kHz, complexity 5, 20 ms, variable rate.
SAME_SETTINGS = ["-vn", "-ac", "1", "-ar", "16000", "-c:a", "libopus", "-b:a", f"{KBPS}k", "-vbr", "on",
                 "-compression_level", "5", "-application", "audio", "-frame_duration", "20", "-threads", "1"]


# What it does when asked for nothing but a smaller copy for speech: complexity 10.
OWN_SETTINGS = ["-vn", "-ac", "1", "-ar", "16000", "-c:a", "libopus", "-b:a", f"{KBPS}k", "-threads", "1"]


def ffmpeg(*arguments):
    return ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]


def measured(command):
    """CPU seconds and peak memory in MiB of one run."""
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--program", type=pathlib.Path)
    options = parser.parse_args()
    program = options.program
    if program is None:
        subprocess.run(["cargo", "build", "--release", "--example", "shrink"], cwd=ROOT, check=True)
        program = ROOT / "target/release/examples/shrink"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, codec in [("mp3", ["-ar", "44100", "-ac", "2", "-b:a", "128k"]), ("flac", ["-ar", "44100", "-ac", "2"])]:
            source = folder / f"speech.{name}"
            subprocess.run(ffmpeg("-stream_loop", -1, "-i", SPEECH, "-t", options.minutes * 60, *codec, source), check=True)
            rows = {}
            for tool, command in [
                ("stenod", [program, source, folder / "stenod.ogg", KBPS]),
                ("same settings", ffmpeg("-i", source, *SAME_SETTINGS, folder / "same settings.ogg")),
                ("own settings", ffmpeg("-i", source, *OWN_SETTINGS, folder / "own settings.ogg")),
            ]:
                seconds, memory = measured([str(part) for part in command])
                size = (folder / f"{tool}.ogg").stat().st_size
                rows[tool] = (seconds, memory, size)
                print(f"{name:5} {tool:13} {seconds:7.2f} s CPU  {memory:6.1f} MiB  {size:9} bytes")
            for tool in ["same settings", "own settings"]:
                cpu, memory, size = (ours / theirs for ours, theirs in zip(rows["stenod"], rows[tool]))
                print(f"{name:5} stenod / ffmpeg, {tool}: CPU {cpu:.2f}  memory {memory:.2f}  size {size:.2f}")


if __name__ == "__main__":
    main()

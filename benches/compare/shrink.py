#!/usr/bin/env python3
"""Shrinks an hour of speech with stenod and with ffmpeg (libopus, the same settings), in turn.

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
                ("ffmpeg", ffmpeg("-i", source, *SAME_SETTINGS, folder / "ffmpeg.ogg")),
            ]:
                seconds, memory = measured([str(part) for part in command])
                size = (folder / f"{tool}.ogg").stat().st_size
                rows[tool] = (seconds, memory, size)
                print(f"{name:5} {tool}: {seconds:7.2f} s CPU  {memory:6.1f} MiB  {size:9} bytes")
            ratios = [ours / theirs for ours, theirs in zip(rows["stenod"], rows["ffmpeg"])]
            print(f"{name:5} stenod / ffmpeg: CPU {ratios[0]:.2f}  memory {ratios[1]:.2f}  size {ratios[2]:.2f}")


if __name__ == "__main__":
    main()

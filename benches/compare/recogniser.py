#!/usr/bin/env python3
"""The built-in recogniser beside whisper.cpp with the same weights, on the same speech: seconds of CPU for each second of
sound, word errors, and the most that was resident. Three sizes: the clips as they are, the same joined into one
recording, and four times that; each with one thread and with as many as there are cores.

    python3 -m venv whisper && whisper/bin/pip install pywhispercpp
    whisper/bin/python benches/compare/recogniser.py SPEECH CHECKPOINT

SPEECH has 16 kHz WAV files and `manifest.tsv` (file first, its text last); CHECKPOINT has `model.safetensors`,
`tokenizer.json` and `config.json` of tiny.en, which are turned into the file that whisper.cpp reads. stenod's
recogniser runs twice: by that checkpoint, and by its own weights in 8 bits.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time
import wave

from material import ROOT
from measured import load

JOINED = {"clips": 0, "joined": 1, "joined 4 x": 4}
MEASURED = re.compile(r"([\d.]+) s of audio in ([\d.]+) s of CPU.*?\n([\d.]+) % word errors, (\d+) kB", re.S)


def clips(folder):
    """Path and text of each recording in a folder with a manifest."""
    lines = (folder / "manifest.tsv").read_text().splitlines()[1:]
    return [(folder / line.split("\t")[0], line.split("\t")[-1]) for line in lines]


def samples(path):
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())


def joined(speech, times, folder):
    """A folder with one recording of all that is in `speech`, so many times."""
    folder.mkdir()
    with wave.open(str(folder / "speech.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(b"".join(samples(path) for path, _ in clips(speech)) * times)
    text = " ".join([text for _, text in clips(speech)] * times)
    (folder / "manifest.tsv").write_text(f"file\ttext\nspeech.wav\t{text}\n")
    return folder


def words(text):
    """As recogniser/tests/support/speech.rs compares them."""
    plain = re.sub("[-—]", " ", text.lower()).split()
    plain = ["".join(letter for letter in word if letter.isalnum() or letter == "'") for word in plain]
    return [{"mr": "mister", "mrs": "missus"}.get(word, word) for word in plain if word]


def errors(wanted, got):
    row = list(range(len(got) + 1))
    for number, word in enumerate(wanted, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(got, 1):
            before, row[place] = row[place], min(before + (word != other), row[place] + 1, row[place - 1] + 1)
    return row[-1]


def whisper_cpp(folder, model, threads):
    """Run in a process of its own: prints what became of the recordings in `folder`, as JSON."""
    from pywhispercpp.model import Model

    recogniser = Model(model, n_threads=threads, language="en", print_progress=False, print_realtime=False,
                       print_timestamps=False, redirect_whispercpp_logs_to=None)
    seconds, wrong, count, cpu = 0.0, 0, 0, 0.0
    for path, text in clips(folder):
        began = time.process_time()
        said = " ".join(segment.text for segment in recogniser.transcribe(str(path)))
        cpu += time.process_time() - began
        seconds += len(samples(path)) / 32000
        wrong, count = wrong + errors(words(text), words(said)), count + len(words(text))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "cpu": cpu, "errors": 100 * wrong / count, "peak": peak}))


def by_whisper_cpp(folder, model, threads):
    command = [sys.executable, __file__, "--alone", str(threads), str(folder), str(model)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    told = json.loads(out.splitlines()[-1])
    return told["seconds"], told["cpu"], told["errors"], told["peak"]


def by_stenod(measure, folder, threads, *model):
    out = subprocess.run([measure, folder, str(threads), *model], check=True, capture_output=True, text=True).stdout
    return tuple(map(float, MEASURED.search(out).groups()))


def compare(measure, speech, checkpoint, model, scratch):
    for name, times in JOINED.items():
        folder = joined(speech, times, scratch / name.replace(" ", "-")) if times else speech
        for threads in sorted({1, os.cpu_count()}):
            rows = {
                "whisper.cpp, f16": by_whisper_cpp(folder, model, threads),
                "stenod, f16": by_stenod(measure, folder, threads, checkpoint),
                "stenod, 8 bits": by_stenod(measure, folder, threads),
            }
            other = rows["whisper.cpp, f16"][1]
            for who, (seconds, cpu, wrong, peak) in rows.items():
                print(f"{name:11} {seconds:6.1f} s  {threads} threads  {who:17} {cpu / seconds:6.3f} x real time"
                      f"  {cpu / other:5.2f} x  {wrong:5.2f} % word errors  {peak / 1024:6.1f} MiB", flush=True)


def main():
    if sys.argv[1:2] == ["--alone"]:
        threads, folder, model = sys.argv[2:]
        whisper_cpp(pathlib.Path(folder), model, int(threads))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=pathlib.Path)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--measure", type=pathlib.Path, help="the built example, instead of building it")
    options = parser.parse_args()
    import ggml

    measure = options.measure
    if measure is None:
        subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "stenod-recogniser", "--features", "weights",
                        "--example", "measure"], cwd=ROOT, check=True)
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        measure = target / "release/examples/measure"
    print(load())
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        model = scratch / "ggml-tiny.en.bin"
        ggml.convert(options.checkpoint, model)
        compare(measure, options.speech, options.checkpoint, model, scratch)


if __name__ == "__main__":
    main()

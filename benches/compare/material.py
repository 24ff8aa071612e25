"""Recordings and tables of the size that a comparison asks for, for the scripts beside this one."""

import contextlib
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Folders in one folder, so that the tree has a depth.
ABREAST = 50
# A file that was touched lately waits before it is taken in, which is no cost of a scan.
OLD_ENOUGH = 125
WAV = struct.Struct("<4sI8sIHHIIHH4sI")


def wav(number):
    """A tenth of a second of sound that no other number has: 8 kHz, one channel, 16 bits."""
    samples = struct.pack("<Q", number * 0x9E3779B97F4A7C15 % (1 << 64)) * 200
    head = WAV.pack(b"RIFF", 36 + len(samples), b"WAVEfmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", len(samples))
    return head + samples


def tree(root, files, folders):
    """So many recordings in so many folders below `root`; gives those folders."""
    made = []
    for number in range(folders):
        folder = root / f"{number // ABREAST:03}" / f"{number % ABREAST:02}"
        folder.mkdir(parents=True)
        made.append(folder)
    for number in range(files):
        (made[number * folders // files] / f"talk-{number}.wav").write_bytes(wav(number))
    return made


@contextlib.contextmanager
def aged(options, counts, make):
    """A folder for each size, in which `make(size, folder)` has put what counts as old: all sizes are made before one
    wait."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folders = {int(count): pathlib.Path(scratch) / count for count in counts.split(",")}
        for count, folder in folders.items():
            folder.mkdir()
            make(count, folder)
        time.sleep(OLD_ENOUGH)
        yield folders.items()


def built(parser_options):
    """The program and the example `bench`, given by `--program` and `--bench` or built now."""
    program, bench = parser_options.program, parser_options.bench
    if program is None or bench is None:
        subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "stenod", "--example", "bench"],
                       cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    return program or target / "stenod", bench or target / "examples/bench"


def with_programs(parser):
    """Adds the options for programs that are built already."""
    parser.add_argument("--program", type=pathlib.Path, help="a built stenod, instead of building it")
    parser.add_argument("--bench", type=pathlib.Path, help="a built example bench, instead of building it")
    parser.add_argument("--scratch", type=pathlib.Path, help="where the files are made (default: the temporary folder)")
    return parser


class Service:
    """The stand-in of the speech service in a process of its own, as long as the `with` lasts."""

    def __init__(self, bench):
        self.bench = bench

    def __enter__(self):
        self.child = subprocess.Popen([self.bench, "service"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.child.stdout.readline().strip()
        if not self.url:
            sys.exit("the stand-in does not start")
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()


def configured(file, state, folder, outputs, url="http://127.0.0.1:9/api", more=""):
    """Writes a configuration for the stand-in, with outputs in a tree of their own; gives its path."""
    file.write_text(f"""state_dir = "{state}"

[service]
provider = "nanogpt"
base_url = "{url}"
jobs = 64
requests_per_second = 25

[transcribe]
output_dir = "{outputs}"

[budget]
per_day = "0"

[[folders]]
path = "{folder}"
watch = "events"
{more}""")
    return file


def environment():
    """That of this process, with a key that the stand-in takes."""
    return {**os.environ, "NANOGPT_API_KEY": "a-key-for-the-stand-in"}

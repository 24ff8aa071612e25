#!/usr/bin/env python3
"""From the close of a file to its submit, with so many folders watched, less the time a file has to settle.

Files are written one after the other into folders chosen at random; a server of OpenAI's kind in this process
notes when the head of each request has come. In turn with it `inotifywait` watches the same folders, if there is
one, and the close of the same kind of file to its line is timed.

    python3 benches/compare/arrival.py [--folders 1,100,10000] [--files 100]
"""

import argparse
import http.server
import json
import pathlib
import queue
import random
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time

import material
import status
from measured import load

SETTLE = 1.0
PATIENCE = 30.0


class Service(http.server.ThreadingHTTPServer):
    """Takes submits and notes which recording came when."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.came = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        came = time.perf_counter()
        body = b""
        if self.headers.get("content-length"):
            body = self.rfile.read(int(self.headers["content-length"]))
        else:
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.server.came.put((body, came))
        answer = json.dumps({"text": "hello"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


def written(folders, number, chance):
    """Writes a recording that no other is; gives its bytes, its path and when it was closed."""
    content = material.wav(number)
    path = chance.choice(folders) / f"new-{number}.wav"
    with open(path, "wb") as file:
        file.write(content)
    return content, path, time.perf_counter()


def shown(what, delays):
    delays = sorted(1000 * each for each in delays)
    median, p99 = statistics.median(delays), delays[min(len(delays) - 1, len(delays) * 99 // 100)]
    print(f"  {what:12} median {median:7.1f} ms   p99 {p99:7.1f} ms   most {delays[-1]:7.1f} ms", flush=True)


def by_stenod(program, folders, files, scratch, chance):
    service = Service()
    config = scratch / "config.toml"
    config.write_text(f"""state_dir = "{scratch / 'state'}"
[service]
provider = "openai"
base_url = "http://127.0.0.1:{service.server_port}"
price_per_minute = "0"
requests_per_second = 25
[transcribe]
output_dir = "{scratch / 'out'}"
formats = ["txt"]
[[folders]]
path = "{scratch / 'in'}"
watch = "events"
settle = "{SETTLE:.0f}s"
""")
    child, _ = status.started([program, "-c", config, "-q", "watch"], scratch)
    try:
        # The first scan comes after the start.
        time.sleep(3 + len(folders) / 2000)
        delays = []
        for number in range(files):
            content, _, closed = written(folders, number + 1, chance)
            body, came = service.came.get(timeout=PATIENCE)
            assert content in body
            delays.append(came - closed - SETTLE)
            time.sleep(chance.uniform(0.0, 0.3))
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
        service.shutdown()
    shown("stenod", delays)


def by_inotifywait(folders, files, scratch, chance):
    command = ["inotifywait", "-m", "-r", "-e", "close_write", "--format", "%f", str(scratch / "in")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while "established" not in child.stderr.readline():
            pass
        delays = []
        for number in range(files):
            _, path, closed = written(folders, files + number + 1, chance)
            assert child.stdout.readline().strip() == path.name
            delays.append(time.perf_counter() - closed)
            time.sleep(chance.uniform(0.0, 0.1))
    finally:
        child.terminate()
        child.wait()
    shown("inotifywait", delays)


def compare(count, options, program, scratch):
    folders = material.tree(scratch / "in", 0, count)
    chance = random.Random(count)
    print(f"{count} folders, {options.files} files, {load()}")
    by_stenod(program, folders, options.files, scratch, chance)
    if shutil.which("inotifywait"):
        by_inotifywait(folders, options.files, scratch, chance)


def main():
    parser = material.with_programs(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--folders", default="1,100,10000")
    parser.add_argument("--files", type=int, default=100)
    options = parser.parse_args()
    program, _ = material.built(options)
    for count in map(int, options.folders.split(",")):
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            compare(count, options, program, pathlib.Path(scratch))


if __name__ == "__main__":
    main()

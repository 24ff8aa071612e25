#!/usr/bin/env python3
"""Uploads a large file with stenod and with whatever else is on the PATH (rclone, s5cmd, aws, curl).

First into SeaweedFS, which checks signatures and writes to the disk (curl by a presigned PUT, signed with the
botocore beside `aws`), then into a sink that throws everything away (curl by a plain PUT). The tools take turns.
Prints wall seconds, CPU seconds and peak resident memory, the medians, and their ratios to stenod's.

stenod's row is a whole process that hashes the file first, as every recording is hashed once when it is found.

    python3 benches/compare/upload.py [--megabytes 500] [--turns 5]

Needs what tests/seaweedfs/fetch.sh needs. `--program PATH` for a built example instead of building it.
"""

import argparse
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from measured import load, measured, medians  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUCKET = "bench"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "stenod-bench",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret-but-long-enough",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}
PORTS = ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
         "filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc"]
SIGN = """
import sys, botocore.session, botocore.config
config = botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"})
client = botocore.session.get_session().create_client("s3", endpoint_url=sys.argv[1], config=config)
print(client.generate_presigned_url("put_object", Params={"Bucket": sys.argv[2], "Key": "curl.bin"}))
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Seaweed:
    """A SeaweedFS of our own with one bucket, as long as the `with` lasts."""

    def __init__(self, folder):
        script = ROOT / "tests/seaweedfs/fetch.sh"
        weed = subprocess.run(["bash", script], check=True, capture_output=True, text=True).stdout.strip()
        identity = {"accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"], "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}
        identities = folder / "identities.json"
        actions = ["Admin", "Read", "Write", "List"]
        identities.write_text(json.dumps({"identities": [{"name": "bench", "credentials": [identity], "actions": actions}]}))
        self.data = folder / "data"
        self.data.mkdir()
        self.log = open(folder / "log", "wb")
        ports = dict(zip(PORTS, free_ports(len(PORTS))))
        self.command = [weed, "-logtostderr=true", "mini", f"-dir={self.data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                        "-master.telemetry=false", "-webdav=false", "-s3.iam=false", "-s3.port.iceberg=0",
                        "-s3.port.lance=0", f"-s3.config={identities}", *(f"-{name}={port}" for name, port in ports.items())]
        self.endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        self.filer = ports["filer.port"]

    def __enter__(self):
        self.child = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        try:
            self.make_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def make_ready(self):
        for _ in range(300):
            if self.child.poll() is not None:
                sys.exit("SeaweedFS does not start")
            try:
                urllib.request.urlopen(self.endpoint)
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.2)
        # Without the type of a form, which `urllib` would add.
        filer = http.client.HTTPConnection("127.0.0.1", self.filer)
        filer.request("POST", f"/buckets/{BUCKET}/", headers={"Content-Length": "0"})
        if filer.getresponse().status != 201:
            sys.exit("SeaweedFS makes no bucket")

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()


class Sink:
    """An S3 server that keeps nothing and believes everything: what is left is the cost of sending."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer = memoryview(bytearray(1 << 20))
        with connection:
            while (head := self.head(connection)) is not None:
                request, headers, rest = head
                left = int(headers.get("content-length", 0)) - rest
                if headers.get("expect"):
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                while left > 0:
                    count = connection.recv_into(buffer, min(left, len(buffer)))
                    if count == 0:
                        return
                    left -= count
                body = self.answer(request)
                connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "0123"\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body))

    @staticmethod
    def head(connection):
        bytes_ = b""
        while b"\r\n\r\n" not in bytes_:
            more = connection.recv(1 << 16)
            if not more:
                return None
            bytes_ += more
        head, _, rest = bytes_.partition(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return request, headers, len(rest)

    @staticmethod
    def answer(request):
        if not request.startswith("POST"):
            return b""
        kind = "CompleteMultipartUploadResult" if "uploadId=" in request else "InitiateMultipartUploadResult"
        text = "<Bucket>bench</Bucket><Key>key</Key><UploadId>0</UploadId><ETag>0123</ETag>"
        return f"<{kind}>{text}</{kind}>".encode()


def presigned(endpoint, environment):
    """A link for curl, or nothing where there is no botocore."""
    aws = shutil.which("aws")
    beside = [pathlib.Path(aws).parent / "python3"] if aws else []
    for python in [*beside, sys.executable]:
        signed = subprocess.run([str(python), "-c", SIGN, endpoint, BUCKET], capture_output=True, text=True, env=environment)
        if signed.returncode == 0:
            return signed.stdout.strip()
    return None


def tools(program, file, endpoint, environment):
    """The command of every tool that is there, for SeaweedFS."""
    stenod = {"stenod": [program, f"s3://{BUCKET}/stenod", endpoint, file]}
    others = {
        "rclone": ["rclone", "copyto", "--s3-provider=Other", "--s3-env-auth", f"--s3-endpoint={endpoint}",
                   "--ignore-times", file, f":s3:{BUCKET}/rclone.bin"],
        "s5cmd": ["s5cmd", "--endpoint-url", endpoint, "cp", file, f"s3://{BUCKET}/s5cmd.bin"],
        "aws": ["aws", "--endpoint-url", endpoint, "s3", "cp", "--quiet", file, f"s3://{BUCKET}/aws.bin"],
    }
    link = presigned(endpoint, environment)
    if link is not None:
        others["curl"] = ["curl", "-s", "-f", "-o", os.devnull, "-T", file, link]
    return stenod | {name: command for name, command in others.items() if shutil.which(command[0])}


def compare(title, commands, turns, environment):
    print(f"{title}, {turns} turns, {load()} before")
    costs = {name: [] for name in commands}
    for _ in range(turns):
        for name, command in commands.items():
            costs[name].append(measured(command, env=environment, stdout=subprocess.DEVNULL))
    ours = medians(costs["stenod"])
    for name, cost in ((name, medians(each)) for name, each in costs.items()):
        ratios = "" if name == "stenod" else "   stenod to it: " + "  ".join(
            f"{column} {mine / its:.2f}" for column, mine, its in zip(cost._fields, ours, cost))
        print(f"  {name:7} {cost.wall:6.2f} s wall  {cost.cpu:6.2f} s CPU  {cost.memory:6.1f} MiB{ratios}")
    print(f"  {load()} after", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--program", type=pathlib.Path)
    options = parser.parse_args()
    program = options.program
    if program is None:
        subprocess.run(["cargo", "build", "--release", "--example", "upload"], cwd=ROOT, check=True)
        program = ROOT / "target/release/examples/upload"
    environment = os.environ | CREDENTIALS
    # rclone does not begin with a bundle of certificates of one's own; nothing here is encrypted.
    environment.pop("AWS_CA_BUNDLE", None)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        file = folder / "file.bin"
        with open(file, "wb") as target:
            for _ in range(options.megabytes):
                target.write(os.urandom(1_000_000))
        with Seaweed(folder) as seaweed:
            commands = tools(program, file, seaweed.endpoint, environment)
            compare(f"{options.megabytes} MB into SeaweedFS", commands, options.turns, environment)
        sink = Sink()
        commands = {
            "stenod": [program, f"s3://{BUCKET}/stenod", sink.endpoint, file],
            "curl": ["curl", "-s", "-f", "-o", os.devnull, "-T", file, f"{sink.endpoint}/{BUCKET}/curl.bin"],
        }
        compare(f"{options.megabytes} MB into a sink", commands, options.turns, environment)


if __name__ == "__main__":
    main()

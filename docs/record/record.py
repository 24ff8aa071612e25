"""Plays a first session in a terminal of 80 columns and writes what it showed.

usage: record.py PROGRAM STANDIN RECORDINGS OUTPUT

OUTPUT.cast is an asciicast of version 2; OUTPUT.svg shows the same, moving. What takes long is shown quicker;
nothing else is changed, so this tells nothing of speed.
"""

import html
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import time
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pyte

COLUMNS, ROWS = 80, 26
PROMPT = "$ "
# Seconds: between two keys, after a command has ended, for which a command is shown at the most, before it begins anew.
KEY, READ, LONGEST, REST = 0.05, 1.8, 5.0, 6.0
# A command that says nothing for so long hangs.
PATIENCE = 120.0

# Where it is recorded, and what is shown instead: of the same length, so that every line breaks where it did.
HOME, SHOWN_HOME = Path("/tmp/stn"), "/home/me"
assert len(str(HOME)) == len(SHOWN_HOME)

# What is typed, and what is answered to questions.
SESSION = [
    ("stenod run Recordings", []),
    ("fold -sw 78 Recordings/two-cities.txt | head -2", []),
    ("clear", []),
    ("export NANOGPT_API_KEY=sk-nano-0123456789", []),
    ("stenod plan Meetings", []),
    ("stenod run Meetings", ["y\r"]),
    ("stenod status", []),
]


class Terminal:
    """A shell in a pseudo-terminal, and everything that it shows with the time."""

    def __init__(self, home, environment):
        self.events = []
        # From when to when a command ran.
        self.commands = []
        self.began = time.monotonic()
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(home)
            os.execvpe("bash", ["bash", "--norc", "--noprofile"], environment)
        ioctl(self.fd, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.shown = ""
        self.until(PROMPT)

    def until(self, end):
        """Reads until what is shown ends with `end`."""
        deadline = time.monotonic() + PATIENCE
        while not self.shown.endswith(end):
            ready, _, _ = select.select([self.fd], [], [], 1.0)
            if ready:
                text = os.read(self.fd, 65536).decode("utf-8", "replace")
                self.events.append((time.monotonic() - self.began, text))
                self.shown += text
                deadline = time.monotonic() + PATIENCE
            elif time.monotonic() > deadline:
                sys.exit(f"nothing came for {PATIENCE} s after:\n{self.shown[-2000:]}")

    def type(self, line):
        """Types a line as a person does, and waits for what it leads to."""
        for key in line:
            time.sleep(KEY)
            os.write(self.fd, key.encode())
        self.shown = ""
        os.write(self.fd, b"\r")

    def play(self, command, answers):
        self.type(command)
        began = time.monotonic() - self.began
        for answer in answers:
            self.until("[y/N] ")
            time.sleep(0.8)
            os.write(self.fd, answer.encode())
            self.shown = ""
        self.until(PROMPT)
        self.commands.append((began, time.monotonic() - self.began))
        time.sleep(READ)


def quicker(events, commands):
    """The same events, with commands that run long shown as if they did not."""
    def shown_at(at):
        saved = 0.0
        for began, ended in commands:
            over = max(0.0, ended - began - LONGEST)
            if at >= ended:
                saved += over
            elif at > began:
                saved += over * (at - began) / (ended - began)
        return at - saved
    return [(round(shown_at(at), 3), text) for at, text in events]


def line_of(screen, row):
    """A line of the screen as pieces of SVG text."""
    cells = [screen.buffer[row][column] for column in range(COLUMNS)]
    text = "".join(cell.data for cell in cells).rstrip()
    if not text:
        return ""
    pieces, start = [], 0
    for column in range(1, len(text) + 1):
        style = (cells[start].fg, cells[start].bold)
        if column == len(text) or (cells[column].fg, cells[column].bold) != style:
            classes = " ".join(filter(None, [f"c-{style[0]}" if style[0] != "default" else "", "b" if style[1] else ""]))
            words = html.escape(text[start:column])
            pieces.append(f'<tspan class="{classes}">{words}</tspan>' if classes else words)
            start = column
    return "".join(pieces)


def frames(events):
    """The screen at each moment at which it has changed."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    shots = []
    for at, text in events:
        stream.feed(text)
        lines = tuple(line_of(screen, row) for row in range(ROWS))
        if not shots or lines != shots[-1][1]:
            if shots and at - shots[-1][0] < 0.04:
                shots[-1] = (shots[-1][0], lines)
            else:
                shots.append((at, lines))
    return shots


def picture(shots):
    """The session as SVG; every line is kept once."""
    height, width = 18, 8.4
    total = shots[-1][0] + REST
    numbers = {}
    for _, lines in shots:
        for line in lines:
            if line:
                numbers.setdefault(line, len(numbers))
    definitions = "".join(f'<text id="l{number}">{line}</text>' for line, number in numbers.items())
    rules, groups = [], []
    for index, (at, lines) in enumerate(shots):
        end = shots[index + 1][0] if index + 1 < len(shots) else total
        start, stop = 100 * at / total, 100 * end / total
        rules.append(
            f"@keyframes f{index}{{0%,{start:.3f}%{{visibility:hidden}}{start:.3f}%,{stop:.3f}%{{visibility:visible}}"
            f"{stop:.3f}%,100%{{visibility:hidden}}}}#f{index}{{animation:f{index} {total:.2f}s step-end infinite}}"
        )
        uses = "".join(
            f'<use href="#l{numbers[line]}" x="14" y="{30 + row * height}"/>' for row, line in enumerate(lines) if line
        )
        groups.append(f'<g id="f{index}" class="f">{uses}</g>')
    last = len(shots) - 1
    style = (
        "text{font:14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d8dee9;white-space:pre}"
        ".b{font-weight:bold}.c-red{fill:#e57373}.c-green{fill:#9ccc65}.c-brown{fill:#ffd54f}.c-blue{fill:#64b5f6}"
        ".c-magenta{fill:#ce93d8}.c-cyan{fill:#4dd0e1}.f{visibility:hidden}" + "".join(rules) +
        f"@media (prefers-reduced-motion:reduce){{.f{{animation:none!important}}#f{last}{{visibility:visible}}}}"
    )
    size = f'{COLUMNS * width + 28:.0f} {ROWS * height + 36}'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" aria-label="A first session with stenod">'
        f'<style>{style}</style><rect width="100%" height="100%" rx="8" fill="#20242c"/>'
        f"<defs>{definitions}</defs>{''.join(groups)}</svg>\n"
    )


def main():
    program, standin, recordings, output = sys.argv[1:]
    try:
        HOME.mkdir()
    except FileExistsError:
        sys.exit(f"{HOME} is there already: remove it, if nobody needs it")
    home = HOME
    try:
        (home / "bin").mkdir()
        (home / "bin/stenod").symlink_to(Path(program).resolve())
        for folder in ["Recordings", "Meetings"]:
            (home / folder).mkdir()
        for recording in sorted(Path(recordings).iterdir()):
            if recording.suffix in {".flac", ".mp3", ".wav", ".m4a", ".opus", ".ogg"}:
                folder = "Meetings" if recording.stem in {"jfk", "two-cities"} else "Recordings"
                shutil.copy(recording, home / folder)
        shutil.copy(home / "Meetings/two-cities.ogg", home / "Recordings")
        service = subprocess.Popen([standin, "--polls", "1"], stdout=subprocess.PIPE, text=True)
        try:
            address = re.search(r"http://\S+", service.stdout.readline()).group(0)
            terminal = Terminal(home, {
                "HOME": str(home), "PATH": f"{home}/bin:/usr/bin:/bin", "TERM": "xterm-256color", "LANG": "C.UTF-8",
                "PS1": PROMPT, "STENOD_SERVICE__BASE_URL": address,
            })
            for command, answers in SESSION:
                terminal.play(command, answers)
        finally:
            service.kill()
        events = [(at, text.replace(str(HOME), SHOWN_HOME)) for at, text in quicker(terminal.events, terminal.commands)]
    finally:
        shutil.rmtree(HOME)
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "A first session with stenod"}
    lines = [json.dumps(header)] + [json.dumps([at, "o", text], ensure_ascii=False) for at, text in events]
    Path(f"{output}.cast").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shots = frames(events)
    Path(f"{output}.svg").write_text(picture(shots), encoding="utf-8")
    print(f"{output}.svg: {len(shots)} pictures, {shots[-1][0]:.0f} s")


main()

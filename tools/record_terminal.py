"""Record a command in a terminal as an animated SVG: docs/images/quickstart.svg.

python tools/record_terminal.py     (needs pyte, and a system with pseudo-terminals; three minutes)

A frame is kept for each second in which the screen changed, and shown for a fraction of one. Every
frame is what the terminal showed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from html import escape
from itertools import groupby
from pathlib import Path

import pyte

from penwright.files import cache_folder

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COLUMNS, ROWS = 96, 30
CELL, LINE = 8.4, 18
"""Width of a character and height of a line, in pixels, at 14 pixels."""
COLOURS = {
    "default": "#d5d8dc", "black": "#4c566a", "red": "#e06c75", "green": "#98c379",
    "brown": "#e5c07b", "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2",
    "white": "#f0f2f4",
}  # fmt: skip

Line = tuple[tuple[str, str, bool], ...]
"""A line as stretches of text, each with its colour and whether it is bold."""


def record(command: list[str], every: float) -> list[tuple[Line, ...]]:
    """Run a command in a pseudo-terminal; returns its screens, one for each `every` seconds."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        frames, due = [read(screen)], time.monotonic() + every
        while True:
            try:
                stream.feed(os.read(ours, 65536))
            except OSError:  # the command has ended
                break
            if time.monotonic() > due:
                frames.append(read(screen))
                due = time.monotonic() + every
        if process.wait():
            sys.exit(f"{command} failed")
    frames.append(read(screen))
    return [frame for frame, _ in groupby(frames)]


def read(screen: pyte.Screen) -> tuple[Line, ...]:
    """Return what the screen shows."""
    lines = []
    for y in range(ROWS):
        cells = [screen.buffer[y][x] for x in range(COLUMNS)]
        runs = groupby(cells, lambda cell: (COLOURS.get(cell.fg, cell.fg), cell.bold))
        line = [(shorten("".join(cell.data for cell in run)), *style) for style, run in runs]
        while line and not line[-1][0].strip():
            line.pop()
        lines.append(tuple(line))
    return tuple(lines)


def shorten(text: str) -> str:
    """Return a text with neutral folders in place of this machine's."""
    text = text.replace(str(ROOT), "~/penwright")
    return text.replace(str(cache_folder()), "~/.cache/penwright")


def draw(frames: list[tuple[Line, ...]], prompt: str, seconds: float, rest: float) -> str:
    """Return an SVG that shows the frames in turn, and the last one for `rest` seconds."""
    width, height = COLUMNS * CELL + 24, (ROWS + 1) * LINE + 24
    known: dict[Line, int] = {}
    strips = []
    for number, frame in enumerate(frames):
        uses = [
            f'<use href="#l{known.setdefault(line, len(known))}" y="{(y + 1) * LINE}"/>'
            for y, line in enumerate(frame)
            if line
        ]
        strips.append(f'<g transform="translate({number * width:g})">{"".join(uses)}</g>')
    total = (len(frames) - 1) * seconds + rest
    steps = "".join(
        f"{100 * n * seconds / total:.2f}%{{transform:translateX({-n * width:g}px)}}"
        for n in range(len(frames))
    )
    last = -(len(frames) - 1) * width
    lines = "".join(f'<text id="l{n}">{spans(line)}</text>' for line, n in known.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}">\n'
        f"<style>text{{font:14px ui-monospace,Menlo,Consolas,monospace;white-space:pre}}"
        f"@keyframes film{{{steps}to{{transform:translateX({last:g}px)}}}}"
        f".film{{animation:film {total:g}s step-end infinite}}"
        f"@media(prefers-reduced-motion:reduce){{.film{{animation:none;"
        f"transform:translateX({last:g}px)}}}}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#1d2127"/>\n<defs>{lines}</defs>\n'
        f'<svg x="12" y="12" width="{width - 24:g}" height="{height - 24:g}">'
        f'<text y="13" fill="{COLOURS["green"]}">{escape(prompt)}</text>'
        f'<g transform="translate(0 13)"><g class="film">{"".join(strips)}</g></g></svg>\n</svg>\n'
    )


def spans(line: Line) -> str:
    """Return a line as spans of SVG, each at its column."""
    found, x = [], 0
    for text, colour, bold in line:
        weight = ' font-weight="bold"' if bold else ""
        if text.strip():
            found.append(
                f'<tspan x="{x * CELL:g}" textLength="{len(text) * CELL:g}" '
                f'fill="{colour if colour[:1] == "#" else "#" + colour}"{weight}>'
                f"{escape(text)}</tspan>"
            )
        x += len(text)
    return "".join(found)


def main() -> None:
    """Record the quickstart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", default=["quickstart"], help="words after penwright")
    parser.add_argument("--name", default="quickstart")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two frames")
    given = parser.parse_args()
    frames = record([sys.executable, "-m", "penwright", *given.words], given.every)
    picture = draw(frames, f"$ penwright {' '.join(given.words)}", seconds=0.25, rest=8)
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / f"{given.name}.svg").write_text(picture, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

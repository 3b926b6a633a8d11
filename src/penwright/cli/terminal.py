"""Read keys from a terminal, and draw a page of text in it; on POSIX and on Windows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

_NAMES = {
    "\x1b[C": "right", "\x1b[D": "left", "\x1bOC": "right", "\x1bOD": "left", "\x1b": "escape",
    "\x04": "quit", "\r": "enter", "\n": "enter", " ": "enter", "\xe0M": "right", "\xe0K": "left",
}  # fmt: skip
"""Names of keys by what a terminal sends for them."""
_TAIL = 20_000
"""Characters of a text that are laid out; more than fit on any screen."""


def is_interactive() -> bool:
    """Return whether keys can be read and a page drawn."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def full_screen() -> Iterator[None]:
    """Draw on a screen of its own, and give the terminal back as it was."""
    sys.stdout.write("\x1b[?1049h\x1b[H")
    sys.stdout.flush()
    try:
        yield
    finally:
        sys.stdout.write("\x1b[?1049l")
        sys.stdout.flush()


def draw(console: Console, text: Text, below: Sequence[Text]) -> None:
    """Draw the end of a text that fits above the lines `below`; nothing flickers."""
    width, height = console.size
    lines = [line for part in text[-_TAIL:].split("\n") for line in _wrap(console, part, width)]
    foot = [line for part in below for line in _wrap(console, part, width)]
    shown = lines[-max(1, height - len(foot) - 1) :]
    with console.capture() as captured:
        for line in [*shown, Text(), *foot]:
            console.print(line, end="\n", soft_wrap=True)
    rows = captured.get().removesuffix("\n").split("\n")
    sys.stdout.write("\x1b[H" + "\x1b[K\r\n".join(rows) + "\x1b[K\x1b[J")
    sys.stdout.flush()


def _wrap(console: Console, line: Text, width: int) -> list[Text]:
    return list(line.wrap(console, width)) or [Text()]


class Keyboard:
    """The keys of a terminal, one at a time and unechoed; a context manager.

    Ctrl-C raises KeyboardInterrupt, as it always does.
    """

    def __enter__(self) -> Keyboard:
        if os.name == "posix":
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin, termios.TCSADRAIN)  # keep what is typed ahead
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _restore(self) -> None:
        if os.name == "posix":
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let the terminal be used by `input` or by another program."""
        self._restore()
        try:
            yield
        finally:
            self.__enter__()

    def wait(self) -> str:
        """Return the next key: a character, or a name such as enter, escape, left."""
        # A signal that comes just before `select` does not end it, and would wait for a key.
        while not (key := self.poll(0.5)):
            pass
        return key

    def poll(self, seconds: float = 0.0) -> str:
        """Return a key that is pressed within some seconds, or an empty string."""
        typed = self._read_windows(seconds) if os.name == "nt" else self._read_posix(seconds)
        return _NAMES.get(typed, typed)

    def _read_posix(self, seconds: float) -> str:
        import select

        handle = sys.stdin.fileno()
        if not select.select([handle], [], [], seconds)[0]:
            return ""
        data = os.read(handle, 1)
        if not data:
            return "\x04"
        # An escape sequence comes at once, and so do the bytes of a character.
        while data[:1] == b"\x1b" and len(data) < 3 and select.select([handle], [], [], 0.02)[0]:
            data += os.read(handle, 1)
        while data[0] >= 0xC0 and len(data) < 4 and select.select([handle], [], [], 0.02)[0]:
            data += os.read(handle, 1)
            if _is_whole(data):
                break
        return data.decode("utf-8", "replace")

    def _read_windows(self, seconds: float) -> str:
        import msvcrt
        import time

        end = time.monotonic() + seconds
        while not msvcrt.kbhit():  # type: ignore[attr-defined]
            if time.monotonic() >= end:
                return ""
            time.sleep(0.01)
        key: str = msvcrt.getwch()  # type: ignore[attr-defined]
        if key in "\x00\xe0":
            return "\xe0" + str(msvcrt.getwch())  # type: ignore[attr-defined]
        if key == "\x03":
            raise KeyboardInterrupt
        return key


def _is_whole(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

"""Writing in turns: every key in a real terminal, a kill, and the versions that are kept."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import time

import pytest

from penwright.cli.write_session import Session
from penwright.config import WriteConfig
from penwright.errors import UsageError
from penwright.serve.documents import Documents


class Terminal:
    """A program in a terminal of 80 columns and 24 lines."""

    def __init__(self, folder, *words: str, tokens: int = 8, **environment: str) -> None:
        import fcntl
        import termios

        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [sys.executable, "-m", "penwright", "write", "base", "--weights", "float32"]
        self.process = subprocess.Popen(
            [*command, "--max-new-tokens", str(tokens), "--document", "story", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=os.environ
            | {"TERM": "xterm", "PENWRIGHT_CACHE": str(folder / "cache")}
            | environment,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""

    def wait_for(self, pattern: str) -> str:
        """Read until the output since the last call has the pattern; return it without escapes."""
        end = time.monotonic() + 120
        while not re.search(pattern, plain := re.sub(r"\x1b\[[?\d;]*\w", "", self.seen), re.DOTALL):
            assert time.monotonic() < end, plain
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 1 << 16).decode("utf-8", "replace")
                except OSError:  # the program has ended
                    assert re.search(pattern, plain, re.DOTALL), plain
        self.raw, self.seen = self.seen, ""
        return plain

    def press(self, keys: str, pattern: str) -> str:
        """Send keys, and wait for the page that has the pattern."""
        os.write(self.master, keys.encode())
        return self.wait_for(pattern)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def start(tmp_path):
    running: list[Terminal] = []

    def open_terminal(*words, **options):
        running.append(Terminal(tmp_path, *words, **options))
        return running[-1]

    # A job in the background of a shell ignores Ctrl-C, and so would the programs that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield open_terminal
    signal.signal(signal.SIGINT, before)
    for terminal in running:
        terminal.close()


# The line below a text that the model has ended; while it writes, Esc stops.
READY = r"base  temperature \S+(  text \d of \d)?  Enter goes on"


def document_in(folder):
    documents = Documents(folder / "documents")
    (one,) = documents.summaries()
    document = documents.open(one["id"])
    return document, document.text_of(document.head)


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal is POSIX's")
def test_every_key_and_a_kill(start, tmp_path):
    terminal = start(EDITOR="sed -i s/goose/heron/g")
    terminal.wait_for("Type how the text begins.*> ")
    first = terminal.press("The goose sat\n", r"The goose sat\w*\W.*" + READY)
    assert "\x1b[36m" in terminal.raw, "what the model wrote has a colour"
    text = document_in(tmp_path)[1]
    assert text.startswith("The goose sat")
    assert len(text) > len("The goose sat")
    terminal.press("r", "text 2 of 2  Enter")
    other = document_in(tmp_path)[1]
    assert other != text
    terminal.press("n", "text 1 of 2  Enter")
    assert document_in(tmp_path)[1] == text
    terminal.press("p", "text 2 of 2  Enter")
    terminal.press("\x1b[D", "text 1 of 2  Enter")
    terminal.press("\x1b[C", "text 2 of 2  Enter")
    terminal.press("u", READY)
    assert document_in(tmp_path)[1] == "The goose sat"
    terminal.press("y", "text 2 of 2  Enter")
    assert document_in(tmp_path)[1] == other
    terminal.press("e", "The heron sat.*" + READY)
    assert document_in(tmp_path)[1] == other.replace("goose", "heron")
    terminal.press("t", "temperature: ")
    terminal.press("1,5\n", r"temperature 1\.5  Enter")
    terminal.press("t", "temperature: ")
    terminal.press("-1\n", "temperature.*" + READY)
    terminal.press("i", "> ")
    terminal.press("Then it rained.\n", r"Then it rained\..*" + READY)
    terminal.press(" ", READY)
    terminal.press("x", r"\? shows the keys")
    terminal.press("?", "Press a key")
    terminal.press("z", READY)
    terminal.press("s", r"Saved: story\.md")
    text = document_in(tmp_path)[1]
    saved = (tmp_path / "story.md").read_text(encoding="utf-8")
    assert saved == f"# story\n\n{text.strip()}\n"
    assert json.loads((tmp_path / "story.md.json").read_text())["machine_written"] is True
    assert "goose" in first

    terminal.process.send_signal(signal.SIGKILL)
    terminal.process.wait()
    assert document_in(tmp_path)[1] == text
    again = start(NO_COLOR="1")
    again.wait_for("'story' is continued.*" + READY)
    assert "\x1b[36m" not in again.raw
    again.press("u", READY)
    again.press("s", r"Saved: story\.md")
    again.process.send_signal(signal.SIGINT)
    again.wait_for("q ends; everything is saved")
    again.press("q", "the same command continues it")
    assert again.process.wait() == 0
    assert document_in(tmp_path)[1] != text


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal is POSIX's")
def test_escape_stops_the_stream_and_keeps_what_is_written(start, tmp_path):
    terminal = start(tokens=5000)
    terminal.wait_for("Type how the text begins")
    terminal.press("The goose sat\n", r"Esc stops.*The goose sat \w+")
    shown = terminal.press("\x1b", READY)
    text = document_in(tmp_path)[1]
    assert text.startswith("The goose sat ")
    assert len(text.split()) < 3000, "the whole would have some 4,000 words"
    assert text.split()[-1] in shown, "what stands on the page is what is kept"
    before = text
    terminal.press("u", READY)
    assert document_in(tmp_path)[1] == "The goose sat"
    terminal.press("y", READY)
    assert document_in(tmp_path)[1] == before


def test_a_pipe_is_no_terminal(penwright):
    said = penwright("write", "base")
    assert said.code == 2
    assert "needs a terminal" in said.err
    assert "penwright generate MODEL --prompts -" in said.err


class Model:
    """A writer that says its seed."""

    name = "model"

    def begin(self, prompt: str, _config: WriteConfig) -> str:
        return f"[{prompt}]"

    def stream_with(self, prompt: str, config: WriteConfig):
        assert config.raw, "the prompt has its form already"
        self.prompt = prompt
        yield f" {config.sampling.seed}"


@pytest.fixture
def session(tmp_path):
    return Session(Documents(tmp_path), "story")


def test_undo_redo_and_alternatives_take_a_streamed_text_as_one(session, tmp_path):
    assert not session.undo()
    assert session.turn(1) == (0, 0)
    session.append("The goose 🦆", "human")
    session.append(" sat", "model")
    session.append(" down", "model", part=True)
    assert session.before == "The goose 🦆"
    assert session.undo()
    assert session.text == "The goose 🦆"
    session.append(" flew", "model")
    assert session.turn(0) == (2, 2)
    assert session.turn(1) == (1, 2)
    assert session.text == "The goose 🦆 sat down"
    assert session.undo()
    assert session.redo()
    assert session.text == "The goose 🦆 sat down", "redo goes where undo came from"
    assert not session.redo()
    assert Session(Documents(tmp_path), "story").text == session.text
    assert Session(Documents(tmp_path), "other").is_new


def test_an_edit_keeps_what_has_changed(session):
    session.append("one\n🦆 two\nthree\nfour", "human")
    session.replace("one\n🦆 2\nthree\nfour\nfive")
    assert session.text == "one\n🦆 2\nthree\nfour\nfive"
    document = session.document
    assert document.nodes[document.head]["changes"] == [
        [4, 11, "🦆 2\n"], [17, 21, "four\nfive"],
    ]  # fmt: skip
    head = document.head
    session.replace(session.text)
    assert session.document.head == head


def test_a_prompt_has_its_form_and_each_text_its_seed(session):
    model = Model()
    session.append("Who?", "human")
    (piece,) = session.stream(model, WriteConfig())
    assert (piece, model.prompt) == (" 0", "[Who?]")
    session.append(piece, "model")
    (piece,) = session.stream(model, WriteConfig())
    assert (piece, model.prompt) == (" 1", "[Who?] 0")


def test_a_file_of_another_origin_is_not_replaced(session, tmp_path):
    session.append("The goose", "human")
    path = tmp_path / "story.md"
    session.save(path, {"machine_written": True})
    session.append(" sat", "model")
    session.save(path, {"machine_written": True})
    assert path.read_text() == "# story\n\nThe goose sat\n"
    (tmp_path / "mine.md").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        session.save(tmp_path / "mine.md", {})

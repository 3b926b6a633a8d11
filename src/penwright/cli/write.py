"""The verb write: a text in a terminal that a person and a model write in turns."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from penwright.cli.options import Opened, warn
from penwright.cli.terminal import Keyboard, draw, full_screen, is_interactive
from penwright.config import InteractiveConfig
from penwright.errors import PenwrightError, UsageError

if TYPE_CHECKING:
    from penwright.cli.write_session import Session
    from penwright.verbs.generate import Writer

_SECONDS_BETWEEN_SAVES = 0.5
_SECONDS_BETWEEN_FRAMES = 0.05


def write(
    model: str | None = None,
    *,
    options: Annotated[InteractiveConfig, Opened] = InteractiveConfig(),  # noqa: B008 - frozen
) -> None:
    """Write with a model in the terminal: it goes on, you choose, undo and edit. ? shows the keys.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    """
    from penwright.cli.write_session import Session
    from penwright.serve.documents import Documents
    from penwright.verbs.generate import check, load_with

    if not is_interactive():
        raise UsageError(
            "write needs a terminal for its keys.",
            fix="In a pipe, use: penwright generate MODEL --prompts -",
        )
    check(options)
    if Path(options.document).name != options.document:
        raise UsageError(
            f"--document '{options.document}' is no name for a file.", fix="Leave out the folder."
        )
    writer = load_with(model, options.compute, warn)
    session = Session(Documents(options.documents), options.document)
    with full_screen(), Keyboard() as keyboard:
        desk = Desk(writer, session, options, keyboard)
        desk.run()
    for line in desk.farewell():
        warn(line)


class Desk:
    """The screen and the keys around a session."""

    def __init__(
        self, writer: Writer, session: Session, options: InteractiveConfig, keyboard: Keyboard
    ) -> None:
        from rich.console import Console

        self.writer = writer
        self.session = session
        self.options = options
        self.keyboard = keyboard
        self.console = Console(highlight=False)
        self.said = "" if session.is_new else f"'{options.document}' is continued."
        self.saved: Path | None = None

    def run(self) -> None:
        """Show the text and do what the keys ask for, until q."""
        if not self.session.text:
            self.say("Type how the text begins, or nothing, and press Enter.")
            self.show()
            self.type_text()
        while True:
            try:
                self.show()
                key = self.keyboard.wait()
                if key in ("q", "quit"):
                    return
                self.said = ""
                if key in KEYS:
                    KEYS[key][1](self)
                else:
                    self.say("? shows the keys.")
            except KeyboardInterrupt:
                self.say("Stopped. q ends; everything is saved.")
            except PenwrightError as error:
                self.say(str(error))

    def farewell(self) -> list[str]:
        """Return what to print when the screen is given back."""
        name, folder = self.options.document, self.options.documents
        lines = [f"'{name}' is kept in {folder}/; the same command continues it."]
        return [*lines, f"Markdown: {self.saved}"] if self.saved else lines

    def say(self, sentence: str) -> None:
        """Show a sentence below the text until the next key."""
        self.said = sentence

    def show(self, streaming: str | None = None) -> None:
        """Draw the text, the newest change marked, and the line of keys."""
        from rich.text import Text

        text, before = self.session.text, self.session.before
        if streaming is not None:
            text += streaming
        page = Text(text)
        if text.startswith(before) and len(before) < len(text):
            page.stylize("cyan", len(before))
        number, total = self.session.turn(0)
        state = [self.writer.name, f"temperature {self.options.sampling.temperature:g}"]
        if total > 1:
            state.append(f"text {number} of {total}")
        hint = "Esc stops" if streaming is not None else "Enter goes on  r another  ? keys  q ends"
        foot = [Text("  ".join([*state, hint]), style="dim")]
        if self.said:
            foot.insert(0, Text(self.said, style="bold"))
        draw(self.console, page, foot)

    def go_on(self) -> None:
        """Let the model write; its text is kept while it comes."""
        for _ in range(self.options.n):
            self._write_one()
            if self.options.n > 1:
                self.session.undo()
        if self.options.n > 1:
            self.session.redo()

    def _write_one(self) -> None:
        pieces = self.session.stream(self.writer, self.options)
        new, part = "", False
        kept = drawn = time.monotonic()
        label = self.writer.label(self.options.sampling)

        def keep() -> None:
            nonlocal new, part, kept
            if new:
                self.session.append(new, "model", label=label, **({"part": True} if part else {}))
                new, part, kept = "", True, time.monotonic()

        try:
            for piece in pieces:
                new += piece
                now = time.monotonic()
                if now - kept > _SECONDS_BETWEEN_SAVES:
                    keep()
                if now - drawn > _SECONDS_BETWEEN_FRAMES:
                    self.show(new)
                    drawn = time.monotonic()
                if self.keyboard.poll() == "escape":
                    self.say("Stopped.")
                    break
        finally:
            keep()
        if not part:
            self.say("The model ends the text here.")

    def retry(self) -> None:
        """Write another text in place of the newest."""
        if self.session.text == self.session.before or not self._newest_is_models():
            self.say("There is no text of the model to write again.")
            return
        self.session.undo()
        self.go_on()

    def _newest_is_models(self) -> bool:
        document = self.session.document
        return document.head is not None and document.nodes[document.head]["author"] == "model"

    def undo(self) -> None:
        """Go back to the text before the newest change."""
        if not self.session.undo():
            self.say("There is nothing to undo.")

    def redo(self) -> None:
        """Take back an undo."""
        if not self.session.redo():
            self.say("There is nothing to redo.")

    def next(self) -> None:
        """Show the next alternative of the newest change."""
        self._turn(1)

    def previous(self) -> None:
        """Show the alternative before."""
        self._turn(-1)

    def _turn(self, step: int) -> None:
        if self.session.turn(step)[1] < 2:
            self.say("There is one text here; r writes another.")

    def type_text(self) -> None:
        """Add a line of your own, and let the model go on."""
        if self._ask("> ", self._add):
            self.said = ""
            self.go_on()

    def _add(self, typed: str) -> None:
        if typed:
            text = self.session.text
            between = "" if not text or text[-1].isspace() or typed[0].isspace() else " "
            self.session.append(between + typed.replace("\\n", "\n"), "human")

    def _ask(self, question: str, use: Callable[[str], None]) -> bool:
        """Ask for a line and use it; returns False when it was broken off with Ctrl-C or Ctrl-D."""
        if os.name == "posix":
            import readline  # noqa: F401 - gives `input` its keys
        with self.keyboard.released():
            try:
                typed = input(f"\n{question}")
            except (EOFError, KeyboardInterrupt):
                return False
        use(typed)
        return True

    def edit(self) -> None:
        """Change the whole text in your editor, $VISUAL or $EDITOR."""
        default = "notepad" if os.name == "nt" else "nano"
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or default
        text = self.session.text
        with tempfile.TemporaryDirectory() as folder, self.keyboard.released():
            path = Path(folder) / "text.md"
            path.write_text(text, encoding="utf-8", newline="\n")
            try:
                code = subprocess.call([*shlex.split(editor, posix=os.name != "nt"), str(path)])
            except OSError:
                raise UsageError(
                    f"The editor '{editor}' does not start.", fix="Name one in EDITOR."
                ) from None
            if code:
                self.say(f"The editor ended with code {code}; nothing is changed.")
                return
            edited = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            edited = edited.removesuffix("\n")  # editors add one
        self.session.replace(edited)

    def set_temperature(self) -> None:
        """Choose how wild the model writes."""
        self._ask("temperature: ", self._use_temperature)

    def _use_temperature(self, typed: str) -> None:
        from penwright.sample.logits import check

        try:
            sampling = replace(self.options.sampling, temperature=float(typed.replace(",", ".")))
        except ValueError:
            raise UsageError(f"'{typed}' is not a number.", fix="Type one such as 0.8.") from None
        check(sampling)
        self.options = replace(self.options, sampling=sampling)

    def save(self) -> None:
        """Write the text to a Markdown file, DOCUMENT.md."""
        path = Path(f"{self.options.document}.md")
        self.session.save(path, self.writer.label(self.options.sampling))
        self.saved = path
        self.say(f"Saved: {path}")

    def help(self) -> None:
        """Show the keys."""
        from rich.text import Text

        lines = [f"{key:8}{words}" for key, (words, _) in KEYS.items() if words]
        draw(self.console, Text("\n".join([*lines, "q       end"])), [Text("Press a key.")])
        self.keyboard.wait()


KEYS: Mapping[str, tuple[str, Callable[[Desk], None]]] = {
    "enter": ("let the model go on (also the space bar)", Desk.go_on),
    "i": ("type a line of your own; \\n is a new line", Desk.type_text),
    "r": ("write another text in place of the newest", Desk.retry),
    "n": ("show the next alternative (also the right arrow)", Desk.next),
    "p": ("show the alternative before (also the left arrow)", Desk.previous),
    "u": ("undo", Desk.undo),
    "y": ("redo", Desk.redo),
    "e": ("edit the whole text in your editor", Desk.edit),
    "t": ("set the temperature", Desk.set_temperature),
    "s": ("save as Markdown", Desk.save),
    "?": ("show the keys", Desk.help),
    "right": ("", Desk.next),
    "left": ("", Desk.previous),
}
"""What each key does, in the order of the help."""

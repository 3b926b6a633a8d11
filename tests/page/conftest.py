"""The page in a real browser, on a server with tiny models.

The page answers most keys at once, but not all, and machines that run tests are slow: what a test
expects of the page it waits for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("fastapi", reason="needs penwright[serve]")

from tests.serve.conftest import TOKEN, Live, make_server, make_writer, wait_until

LONG = 30.0  # seconds that a browser on a busy machine may take

TEXT = """import("/page/vendor/codemirror.js").then(({ EditorView }) => {
  const editor = document.querySelector(".cm-editor");
  return editor ? EditorView.findFromDOM(editor).state.doc.toString() : "";
})"""
"""The whole text of the editor, without suggestions and placeholders."""

READY = "document.querySelector('.tray-foot .primary')?.disabled === false"
"""Whether there are continuations to choose from, and all of them are there."""

ENDLESS = {"max_tokens": 80_000, "ignore_eos": True, "on_loop": "allow"}
"""Options with which the model writes until it is stopped, however slow the browser is."""


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Iterator[Live]:
    writers = [make_writer("tiny", 1), make_writer("other", 2)]
    live = Live(make_server(writers, tmp_path_factory.mktemp("documents")))
    live.start()
    yield live
    live.stop()


class Desk:
    """A tab of the page, on a new document."""

    def __init__(self, page, address: str) -> None:
        self.page, self.address = page, address
        self.text_box = page.locator(".cm-content")
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._note(message))

    def _note(self, message) -> None:
        # A server that a test kills, or a token that it refuses, is no error of the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def open(self, hash_: str = "") -> None:
        self.page.goto(f"{self.address}/#token={TOKEN}")
        self.text_box.wait_for()
        if hash_:
            self.page.evaluate(f"location.hash = {hash_!r}")

    def new_document(self) -> None:
        """Open a document with the usual options; the page's button keeps those of the last one."""
        self.open()
        id_ = self._request("", {"title": "Untitled", "text": ""})["id"]
        self.page.evaluate(f"location.hash = 'write/{id_}'")
        self.wait_for(f"document.querySelector('.editor')?.dataset.document === {id_!r}")

    def set_options(self, **sampling) -> None:
        """Set sampling options of the document, and load the page again."""
        self.ask("/settings", {"values": {"sampling": sampling}})
        self.page.reload()
        self.text_box.wait_for()

    @property
    def id(self) -> str:
        """The id of the document."""
        return self.page.evaluate("location.hash").split("/")[1]

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression holds; Playwright's own way needs unsafe-eval."""
        wait_until(lambda: self.page.evaluate(f"Boolean({condition})"), LONG)

    @property
    def text(self) -> str:
        """The text of the editor as it is now."""
        return self.page.evaluate(TEXT)

    def expect_text(self, text: str) -> None:
        """Wait until the editor has this text; shows the difference when it never has."""
        with suppress(AssertionError):
            wait_until(lambda: self.text == text, LONG)
        assert self.text == text

    def type(self, text: str) -> None:
        self.text_box.press_sequentially(text)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def wait_idle(self) -> None:
        """Wait until the model does not write."""
        self.page.get_by_role("button", name="Continue", exact=True).wait_for()

    def wait_text(self, holds: Callable[[str], bool]) -> str:
        """Wait until the editor has a text that `holds`, and return it."""
        texts = [""]
        with suppress(AssertionError):
            wait_until(lambda: holds(texts.append(self.text) or texts[-1]), LONG)
        assert holds(texts[-1]), texts[-1]
        return texts[-1]

    def wait_longer(self, begins: str, than: int = 0) -> str:
        """Wait for a text that begins so and has more characters; return it."""
        least = max(len(begins), than)
        return self.wait_text(lambda text: text.startswith(begins) and len(text) > least)

    def ask(self, path: str = "", body=None):
        """The server's answer to a request on the document."""
        return self._request(f"/{self.id}{path}", body)

    def _request(self, path: str, body):
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Penwright-Token": TOKEN, "Content-Type": "application/json"}
        address = f"{self.address}/penwright/documents{path}"
        with urlopen(Request(address, data, headers)) as answer:
            return json.load(answer)

    def stored(self) -> dict:
        """The document as the server has it, once that is what the page shows."""
        saved = self.page.get_by_text("Saved", exact=True).first
        wait_until(lambda: saved.is_visible() and self.ask()["text"] == self.text, LONG)
        return self.ask()

    def let_write(self, *keys: str) -> str:
        """Press keys that let the model write; return the text once all of it is there."""

        def count() -> int:
            return sum(node["author"] == "model" for node in self.ask()["nodes"])

        before = count()
        self.press(*keys)
        wait_until(lambda: count() > before, LONG)
        self.wait_idle()
        return self.text


@pytest.fixture
def desk(browser, live) -> Iterator[Desk]:
    """A tab on a new, empty document; fails on errors of the page's own."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    desk = Desk(context.new_page(), live.address)
    desk.new_document()
    yield desk
    context.close()
    assert desk.errors == []

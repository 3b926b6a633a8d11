"""The page in a real browser, on a server with tiny models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi", reason="needs penwright[serve]")

from tests.serve.conftest import TOKEN, Live, make_server, make_writer, wait_until


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
        self.open()
        old = self.page.evaluate("location.hash")
        self.page.get_by_role("button", name="New document").first.click()
        opened = "document.querySelector('.editor')?.dataset.document"
        self.wait_for(f"location.hash !== {old!r} && location.hash === '#write/' + {opened}")

    @property
    def id(self) -> str:
        """The id of the document."""
        return self.page.evaluate("location.hash").split("/")[1]

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression holds; Playwright's own way needs unsafe-eval."""
        wait_until(lambda: self.page.evaluate(f"Boolean({condition})"), 15.0)

    @property
    def text(self) -> str:
        """The text of the editor, without suggestions."""
        return self.page.evaluate(
            "[...document.querySelectorAll('.cm-line')].map(line => [...line.childNodes]"
            ".filter(n => !n.classList || !(n.classList.contains('cm-placeholder') ||"
            " n.classList.contains('ghost'))).map(n => n.textContent).join('')).join('\\n')"
        )

    def type(self, text: str) -> None:
        self.text_box.press_sequentially(text)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def wait_idle(self) -> None:
        self.page.get_by_role("button", name="Continue", exact=True).wait_for()

    def wait_text(self, holds: str) -> None:
        """Wait until a JavaScript expression on `text` holds."""
        shown = "document.querySelector('.cm-content')?.innerText ?? ''"
        self.wait_for(f"(text => {holds})({shown})")


@pytest.fixture
def desk(browser, live) -> Iterator[Desk]:
    """A tab on a new, empty document; fails on errors of the page's own."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    desk = Desk(context.new_page(), live.address)
    desk.new_document()
    yield desk
    context.close()
    assert desk.errors == []

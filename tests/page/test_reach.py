"""Who reaches the page: a phone does, another site does not."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="needs playwright")

from playwright.sync_api import expect

from tests.page.conftest import Desk


def test_a_page_of_another_site_is_refused(browser, live):
    context = browser.new_context()
    page = context.new_page()
    page.goto("data:text/html,<title>evil</title>")
    reached = page.evaluate(
        """address => fetch(address + "/penwright/documents").then(() => "yes", () => "no")""",
        live.address,
    )
    sent = page.evaluate(
        """address => fetch(address + "/v1/completions", {method: "POST", mode: "no-cors",
        body: '{"prompt": "x"}'}).then((answer) => answer.type, () => "no")""",
        live.address,
    )
    context.close()
    assert reached == "no"
    assert sent in ("no", "opaque")  # opaque: refused by the guard, and unreadable


def test_on_a_phone_nothing_overflows_and_all_is_reachable(browser, live):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    desk = Desk(context.new_page(), live.address)
    desk.new_document()
    desk.wait_for("document.fonts.status === 'loaded'")
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("Documents", "Options, context and branches"):
        desk.page.get_by_role("button", name=name).first.click()
        drawer = desk.page.locator(".documents, .inspector").locator("visible=true")
        expect(drawer).to_have_count(1)
        drawer.get_by_role("button", name="Close").first.click()
    desk.page.get_by_role("button", name="Continue", exact=True).click()
    desk.wait_text(lambda text: len(text) > 20)
    desk.wait_idle()
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()

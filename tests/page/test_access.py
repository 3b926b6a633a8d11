"""Accessibility, by axe: no view has a violation, in light and dark, at a desk and on a phone."""

from __future__ import annotations

import pytest

from tests.page.conftest import Desk

WIDTHS = {"desk": 1280, "phone": 390}


@pytest.mark.parametrize(
    ("width", "theme"),
    [
        pytest.param(width, theme, id=f"{name}-{theme}", marks=() if often else pytest.mark.slow)
        for name, theme, often in (
            ("desk", "light", True), ("phone", "dark", True),
            ("desk", "dark", False), ("phone", "light", False),
        )
        for width in (WIDTHS[name],)
    ],
)  # fmt: skip
def test_no_view_has_a_violation(browser, live, theme, width):
    axe_module = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python"
    )
    axe = axe_module.Axe()
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=theme, reduced_motion="reduce"
    )
    desk = Desk(context.new_page(), live.address)
    page = desk.page

    def check() -> None:
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()

    desk.new_document()
    desk.type("It rained and rained and rained. ")
    page.get_by_role("button", name="Surprise").click()
    for tab in ("Options", "Context", "Branches"):
        if width < 1000:
            page.get_by_role("button", name="Options, context and branches").click()
        page.get_by_role("tab", name=tab).click()
        if tab == "Context":
            page.locator(".received").wait_for()
        page.wait_for_timeout(700)
        check()
        if width < 1000:
            page.get_by_role("button", name="Close the panel").click()
    page.get_by_role("button", name="Surprise").click()
    page.get_by_role("button", name="Choices").click()
    desk.wait_for("document.querySelector('.tray-foot .primary')?.disabled === false")
    check()
    desk.text_box.focus()
    desk.press("Escape", "Alt+a")
    page.get_by_label("Alternatives", exact=True).wait_for()
    check()
    desk.press("Escape", "Control+f")
    check()
    page.keyboard.press("F1")
    check()
    page.keyboard.press("Escape")
    for name, heading in (("train", "Train"), ("about", "About")):
        page.evaluate(f"location.hash = {name!r}")
        page.get_by_role("heading", name=heading, exact=True).wait_for()
        page.wait_for_timeout(200)
        check()
    context.close()

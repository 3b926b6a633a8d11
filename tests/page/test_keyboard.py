"""The keyboard is enough, and the focus is where the writer expects it."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="needs playwright")

from playwright.sync_api import expect

from tests.page.conftest import READY


def test_the_keyboard_is_enough(desk):
    desk.press("F1")
    expect(desk.page.get_by_role("dialog")).to_be_visible()
    expect(desk.page.get_by_role("dialog")).to_contain_text("Several continuations")
    desk.press("Escape")
    desk.page.get_by_role("dialog").wait_for(state="detached")
    desk.press("Alt+3")
    desk.page.get_by_role("heading", name="About").wait_for()
    desk.press("Alt+1")
    desk.text_box.wait_for()
    desk.press("Control+Enter")
    desk.wait_text(lambda text: len(text) > 20)


def test_the_keyboard_is_nowhere_caught_and_returns_from_a_dialog(desk):
    focused = "document.activeElement.ariaLabel"
    desk.press("Tab")
    desk.wait_for(f"{focused} !== 'Text'")
    desk.press("Shift+Tab")
    for close in ("Enter", "Escape"):
        desk.wait_for(f"{focused} === 'Text'")
        desk.press("F1")
        desk.wait_for(f"{focused} === 'Close'")
        desk.press(close)
    desk.wait_for(f"{focused} === 'Text'")


def test_escape_from_the_tray_and_a_taken_branch_return_to_the_text(desk):
    focused = "document.activeElement.ariaLabel"
    desk.type("It rained")
    desk.let_write("Control+Enter")
    desk.let_write("Alt+r")
    desk.press("Alt+a")
    desk.page.get_by_label("Alternatives", exact=True).wait_for()
    desk.press("Tab")
    desk.wait_for(f"{focused} === 'Close'")
    desk.press("Escape")
    desk.wait_for(f"{focused} === 'Text'")
    desk.page.get_by_role("tab", name="Branches").click()
    desk.page.get_by_role("button", name="Compare with the text").press("Enter")
    desk.page.get_by_role("button", name="Write on with this").last.press("Enter")
    desk.wait_for(f"{focused} === 'Text'")


def test_keys_go_on_working_after_a_click_and_from_the_panel(desk):
    desk.type("It rained")
    desk.page.get_by_role("button", name="Choices").click()
    desk.wait_for(READY)
    desk.press("Tab")
    desk.wait_longer("It rained")
    desk.page.get_by_role("tab", name="Context").click()
    desk.page.get_by_label("Memory").fill("A wet tale.")
    desk.let_write("Control+Enter")
    assert desk.ask()["settings"]["memory"] == "A wet tale."

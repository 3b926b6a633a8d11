"""The writer's page: sizes, first paint, typing latency while text streams in, many branches.

    python bench/page.py [--keys 200] [--branches 5000] [--json] [--keep]

Starts `penwright serve base` in a folder of its own, and drives Chromium (headless, at 60 frames a
second) by Playwright. Sizes are gzipped, level 9. First paint: the median of five loads. Typing: in
a document of 300 KB while the model writes into it, from the keydown event to the frame after the
change, so that waiting for the screen is part of it. Branches: from choosing a document of so many
siblings to its tree and text on the screen.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import keeping
import penwright.serve
from serving import Served, serve

PAGE = Path(penwright.serve.__file__).parent / "page"
LONG = 300_000

MEASURE_KEYS = """() => {
  window.latencies = [];
  const frame = new MessageChannel();
  let began = 0;
  frame.port1.onmessage = () => latencies.push(performance.now() - began);
  addEventListener("keydown", (event) => {
    began = event.timeStamp;
    requestAnimationFrame(() => frame.port2.postMessage(0));
  }, true);
}"""


def measure_sizes() -> dict[str, int]:
    """Return the bytes that the page loads, gzipped: our own, and all."""
    sizes = {
        path: len(gzip.compress(path.read_bytes(), 9))
        for path in PAGE.rglob("*")
        if path.suffix in (".js", ".css", ".html", ".svg", ".woff2")
    }
    own = sum(size for path, size in sizes.items() if "vendor" not in path.parts)
    return {"own": own, "all": sum(sizes.values())}


def make_document(served: Served, text: str, sampling: dict[str, Any]) -> str:
    """Make a document; returns its id."""
    id_: str = served.post("", {"title": "Bench", "text": text})["id"]
    served.post(f"/{id_}/settings", {"values": {"sampling": sampling}})
    return id_


def make_branches(served: Served, count: int) -> str:
    """Make a document with so many branches; returns its id."""
    id_ = make_document(served, "", {})
    root = {"id": "root00", "parent": None, "changes": [[0, 0, "Once. "]], "author": "human"}
    served.post(f"/{id_}/append", {"nodes": [root], "expected": None})
    nodes = [
        {
            "id": f"branch{number}",
            "parent": "root00",
            "changes": [[6, 6, f"And then, for the {number}th time, something happened."]],
            "author": "model",
        }
        for number in range(count)
    ]
    served.post(f"/{id_}/append", {"nodes": nodes, "expected": "root00"})
    return id_


def measure_first_paint(browser: Any, address: str) -> tuple[float, float]:
    """Return milliseconds to the first paint, and to an editor to write in."""
    paints, ready = [], []
    for _ in range(5):
        page = browser.new_page()
        page.goto(address)
        page.locator(".cm-content").wait_for()
        ready.append(page.evaluate("performance.now()"))
        paints.append(
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )
        page.close()
    return statistics.median(paints), statistics.median(ready)


def measure_typing(page: Any, id_: str, keys: int) -> dict[str, float]:
    """Return the latency of keys in milliseconds, while the model writes at the end."""
    page.evaluate(f"location.hash = 'write/{id_}'")
    page.locator(f"[data-document='{id_}'] .cm-content").focus()
    page.wait_for_timeout(1500)
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    page.keyboard.press("Control+Home")
    page.wait_for_timeout(1000)
    page.evaluate(MEASURE_KEYS)
    for number in range(keys):
        page.keyboard.press("abcdefgh "[number % 9])
        page.wait_for_timeout(60)
    streams = page.get_by_role("button", name="Stop", exact=True).is_visible()
    page.keyboard.press("Escape")
    found = sorted(page.evaluate("latencies"))
    return {
        "median": statistics.median(found),
        "p95": found[int(0.95 * len(found))],
        "streamed_to_the_end": streams,
    }


def measure_branches(page: Any, id_: str) -> float:
    """Return the seconds from choosing a document to its branches on the screen."""
    page.get_by_role("tab", name="Branches").click()
    began = time.perf_counter()
    page.evaluate(f"location.hash = 'write/{id_}'")
    page.locator(f"[data-document='{id_}'] .cm-content").wait_for()
    page.get_by_text(re.compile(r"\d,?\d\d\d branches")).wait_for()
    page.locator(".branch").nth(5).wait_for()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--branches", type=int, default=5000)
    keeping.add_options(parser)
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    figures: dict[str, Any] = keeping.describe("the writer's page", ("playwright",))
    figures["gzipped_bytes"] = measure_sizes()
    with serve("base") as served, sync_playwright() as playwright:
        words = "The rain had not stopped for a week, and nobody spoke of it any more. "
        long = make_document(
            served,
            (words * 12 + "\n\n") * (LONG // (12 * len(words))),
            {
                "max_tokens": 20_000,
                "ignore_eos": True,
                "on_loop": "allow",
            },
        )
        many = make_branches(served, options.branches)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-background-networking"],
        )
        paints = measure_first_paint(browser, served.page)
        figures["first_paint_ms"], figures["editor_ready_ms"] = paints
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(served.page)
        page.locator(".cm-content").wait_for()
        page.wait_for_timeout(1000)
        page.evaluate(f"location.hash = 'write/{long}'")
        page.locator(f"[data-document='{long}'] .cm-content").wait_for()
        figures["branches"] = options.branches
        figures["branches_open_s"] = measure_branches(page, many)
        figures["keydown_to_paint_ms"] = measure_typing(page, long, options.keys)
        browser.close()
    print(json.dumps(figures, indent=None if options.json else 2))
    if options.keep:
        keeping.keep("page", figures)


if __name__ == "__main__":
    main()

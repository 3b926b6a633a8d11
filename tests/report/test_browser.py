"""The pages in a real browser, at a desktop's and a phone's width, in light and in dark."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penwright import report
from penwright.report.comparison import comparison_page
from penwright.report.samples import copied_page
from penwright.report.scores import scores_page

from .helpers import eval_line, step_line, write_run
from .test_comparison import column, make_comparison

LONG = "The goose asked the harbour for a pay rise, and the harbour went out at half past nine. "
LINES = [
    eval_line(0, 4.4),
    *(step_line(step, 4.5 - math.log(step), mfu_percent=30.0) for step in range(1, 200)),
    *(eval_line(step, 4.4 - math.log(step) / 2, full=False) for step in range(20, 200, 20)),
    eval_line(199, 3.1),
]


def samples(text: str) -> list[dict[str, Any]]:
    return [{"prompt": f"Once {n}", "text": text * 3, "finish_reason": "end"} for n in range(3)]


def make_copied() -> dict[str, Any]:
    span = {"start": 4, "end": 40, "tokens": 21, "source": "a-very-long-name-of-a-file.txt:123",
            "before": "... and ", "after": "was gone."}  # fmt: skip
    texts = [
        {"prompt": "Once", "text": LONG * 3, "share": 0.4, "longest": 21, "spans": [span]},
        {"prompt": "Once", "text": LONG, "share": 0.0, "longest": 0, "spans": []},
    ]
    human = {"texts": 30, "share": 0.01, "longest": 22}
    return {"run": "small", "min_tokens": 20, "longest": 21, "share": 0.2, "samples": texts,
            "held_out": human}  # fmt: skip


def make_report(folder: Path) -> str:
    write_run(folder / "old", LINES)
    changed = {"learning_rate": [None, 0.001], "sample_prompts": ["", LONG]}
    previous = {"name": "old", "difference": {"says": "new predicts better than old."}}
    run = write_run(
        folder / "new",
        LINES,
        {0: samples("the the "), 100: samples(LONG), 199: samples(LONG)},
        previous=previous | {"changed": changed},
    )
    columns = {"new": column(50.0), "human text": column(55.0)}
    (run / "quality.json").write_text(json.dumps({"columns": columns, "settings": {}}))
    (run / "copied.json").write_text(json.dumps(make_copied()))
    return report.render(report.read(run))


def make_comparison_page(folder: Path) -> str:
    runs = {name: report.read(write_run(folder / name, LINES)) for name in ("old", "new")}
    texts = [
        {"prompt": f"Once {n}", "human": LONG, "texts": [LONG * 4, "the " * 40]} for n in range(3)
    ]
    return comparison_page(make_comparison(texts=texts), runs)


def make_scores(_: Path) -> str:
    tokens = [{"text": "<|endoftext|>", "logprob": None, "rank": None, "entropy": None, "best": []}]
    for number, word in enumerate(LONG.split(" ")):
        best = [{"text": " the", "logprob": -1.0}]
        value = -1.5 * (number % 10)
        tokens.append(
            {"text": f" {word}", "logprob": value, "rank": number, "entropy": 2.0, "best": best}
        )
    total = {"perplexity": 20.0, "bits_per_byte": 1.2, "loss": 3.0, "first": 0.4,
             "first_ten": 0.7, "tokens": len(tokens) - 1, "documents": 1}  # fmt: skip
    return scores_page("story.txt", "base", [{"document": 1, "tokens": tokens}], total)


PAGES: dict[str, Callable[[Path], str]] = {
    "report": make_report,
    "comparison": make_comparison_page,
    "copied": lambda _: copied_page(make_copied()),
    "scores": make_scores,
}
"""Every page that Penwright writes as a file, by its name."""

# For each text: the contrast of its colour with the nearest opaque background (WCAG 2.2, 1.4.3).
CONTRASTS = """() => {
  const shade = c => { const v = c.match(/[\\d.]+/g).map(Number);
    const [r, g, b] = v.slice(0, 3).map(x => { x /= 255;
      return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4 });
    return [0.2126 * r + 0.7152 * g + 0.0722 * b, v.length > 3 ? v[3] : 1] };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    const box = e.getBoundingClientRect();
    if (!own || !box.width || e.closest('script, style, .unseen, .skip, svg')) continue;
    let under = e; while (under && shade(getComputedStyle(under).backgroundColor)[1] < 1)
      under = under.parentElement;
    const back = under ? shade(getComputedStyle(under).backgroundColor)[0] : 1;
    const front = shade(getComputedStyle(e).color)[0];
    const ratio = (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
    const large = parseFloat(getComputedStyle(e).fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) found.push([e.className, e.textContent.slice(0, 30), ratio]);
  }
  return found }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_is_readable_and_has_no_errors(
    tmp_path: Path, browser: Any, name: str, width: int, scheme: Any
) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGES[name](tmp_path), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(path.as_uri())
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    faint = page.evaluate(CONTRASTS)
    context.close()
    assert errors == []
    assert wide[0] <= wide[1]
    assert faint == []


def test_faint_text_is_found(browser: Any) -> None:
    page = browser.new_page()
    page.set_content("<body style='background:#fff'><p style='color:#999'>a</p><p>b</p></body>")
    ((_, text, ratio),) = page.evaluate(CONTRASTS)
    page.close()
    assert text == "a"
    assert ratio == pytest.approx(2.85, abs=0.01)

"""A small run folder, as the training loop would leave it, and a reader of the page's markup."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "link", "input", "br", "path"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text outside of code."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.blocks: dict[str, list[str]] = {"script": [], "style": []}
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        self.elements.append((tag, dict(attrs)))
        if tag in self.blocks:
            self.blocks[tag].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.blocks:
            self.blocks[self.open[-1]][-1] += data
        elif data.strip():
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def step_line(step: int, loss: float | None, **more: Any) -> dict[str, Any]:
    return {
        "kind": "step",
        "step": step,
        "loss": loss,
        "lr": 5e-4,
        "grad_norm": 1.0 + step / 10,
        "tokens": 100,
        "tokens_seen": 100 * step,
        "tokens_per_s": 1000.0 + step,
        "memory_mb": 512.0,
        "seconds": 2.5 * step,
        "epoch": step / 2,
    } | more


def eval_line(step: int, loss: float, *, full: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "kind": "eval",
        "step": step,
        "loss": loss,
        "perplexity": math.exp(loss),
        "bits_per_byte": loss / 3,
        "tokens": 640,
        "full": full,
        "seconds": 2.5 * step,
        "best": False,
    } | more


def run_json() -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "command": ["penwright", "finetune", "my stories.txt", "--steps", "4", "--name", "small"],
        "created": "2025-11-21T03:57:12+00:00",
        "status": "finished",
        "model": {"name": "base", "n_parameters": 6_967_808, "config": {"n_layer": 6}},
        "config": {"steps": 4, "name": "small", "seed": 42, "data": {"format": "auto"}},
        "data": {
            "paths": ["my stories.txt"],
            "files": ["my stories.txt"],
            "reading": [{"format": "text", "encoding": "utf-8", "says": "each line is a document"}],
            "documents": 12,
            "tokens": 6400,
            "learned": 3200,
            "training": {"documents": 10, "tokens": 5760},
            "held_out": {"documents": 2, "tokens": 640},
            "fingerprint": "0123456789abcdef0123",
        },
        "machine": {"device": "cpu", "name": "Some Core", "cores": 2, "gpu": None},
        "versions": {"python": "3.12.4"},
        "plan": {"steps": 4, "steps_per_epoch": 2, "learning_rate": 5e-4},
        "result": {
            "perplexity_before": 81.2,
            "perplexity_after": 31.4,
            "best_step": 4,
            "seconds": 125.2,
        },
    }


def write_run(
    folder: Path,
    lines: list[dict[str, Any]] | None = None,
    samples: dict[int, list[dict[str, Any]]] | None = None,
    **changes: Any,
) -> Path:
    """A run folder; `changes` replace keys of run.json, None removes one."""
    (folder / "samples").mkdir(parents=True)
    info = {key: value for key, value in (run_json() | changes).items() if value is not None}
    (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    if lines is not None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    for step, items in (samples or {}).items():
        path = folder / "samples" / f"step-{step:06d}.json"
        path.write_text(json.dumps(items), encoding="utf-8")
    return folder


SMALL_LINES = [
    eval_line(0, 4.397),
    *(step_line(step, 4.5 - step / 4) for step in (1, 2)),
    eval_line(2, 3.9, best=True),
    *(step_line(step, 4.5 - step / 4) for step in (3, 4)),
    eval_line(4, 3.447, best=True),
]
SMALL_SAMPLES = {
    0: [{"prompt": "Once", "text": " the the", "finish_reason": "length"}],
    4: [{"prompt": "Once", "text": " upon a time.", "finish_reason": "end"}],
}

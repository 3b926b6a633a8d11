"""The lines and the figures of a run in the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from penwright import formats
from penwright.cli.live import LiveView, PlainView
from penwright.config import DataConfig
from penwright.verbs.finetune import FinishedRun

STEP = {
    "step": 3, "loss": 2.5, "tokens_per_s": 1000.0, "memory_mb": 2048.0, "mfu_percent": 40.0,
}  # fmt: skip
BUSY = {"cpu_percent": 87.4, "gpu_percent": 12.0}


def shown(view_class, *records):
    out = io.StringIO()
    view = view_class(Console(file=out, width=200))
    view.steps = 9
    for record in records:
        view.on_step(record)
    return view, out


def test_the_figures_of_a_step_and_what_the_machine_last_told():
    view, _ = shown(PlainView, STEP | BUSY, STEP | {"step": 4})
    figures = dict(view.figures())
    assert figures["step"] == "4/9"
    assert figures["tokens/s"] == "1,000"
    assert figures["memory"] == "2.0 GB"
    assert (figures["MFU"], figures["CPU"], figures["GPU"]) == ("40 %", "87 %", "12 %")


def test_the_start_tells_how_files_are_read_and_which_columns_are_not_used(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,text\n1,a story\n2,another\n")
    reading = formats.describe([path], DataConfig())
    assert formats.FileReading.from_json(json.loads(json.dumps(reading.as_json()))) == reading
    out = io.StringIO()
    PlainView(Console(file=out, width=200)).on_start(
        {
            "plan": {
                "steps": 1, "batch_size": 1, "max_length": 8, "shape": "packed",
                "steps_per_epoch": 1, "learning_rate": 0.1, "schedule": "cosine",
                "precision": "float32",
            },
            "data": {
                "reading": reading.as_json(),
                "training": {"documents": 1, "tokens": 8},
                "held_out": {"documents": 1},
            },
            "model": {"name": "base", "n_parameters": 10},
            "machine": {"device": "cpu"},
        }
    )  # fmt: skip
    assert "the text is column 'text'; not used: id (choose with --text-column" in out.getvalue()


def test_a_machine_that_tells_nothing_has_no_figures():
    view, out = shown(LiveView, {k: v for k, v in STEP.items() if k != "mfu_percent"})
    assert not {"MFU", "CPU", "GPU"} & dict(view.figures()).keys()
    view.console.print(view.render())
    assert "tokens/s" in out.getvalue()


def test_a_step_that_was_left_out_has_no_loss():
    view, _ = shown(PlainView, STEP | {"loss": None})
    assert dict(view.figures())["loss"] == "left out"


def test_the_end_tells_speed_mfu_and_memory():
    fast = STEP | {"tokens_per_s": 3000.0, "mfu_percent": 120.0, "step": 5}
    view, out = shown(PlainView, STEP, STEP | {"step": 4}, fast)
    view.show_result(FinishedRun(Path("runs/r"), None, None, 5, 5, 60.0))
    assert "1,000 tokens/s, 40 % of the machine's arithmetic (MFU), 2.0 GB" in out.getvalue()


def test_a_measurement_of_a_part_and_an_early_stop_are_named():
    view, out = shown(PlainView, STEP)
    assert "left" not in dict(view.figures()), "one step says nothing about the pace"
    view.on_evaluate({"step": 3, "perplexity": 20.0, "full": False})
    assert dict(view.figures())["held-out perplexity"] == "20.00 (on a part)"
    view.on_step(STEP | {"step": 5})
    view.on_evaluate({"step": 5, "perplexity": 21.0, "full": True})
    figures = dict(view.figures())
    assert figures["held-out perplexity"] == "21.00"
    assert "left" in figures
    view.show_result(FinishedRun(Path("runs/r"), 90.0, 21.0, 5, 5, 60.0))
    assert "Stopped after step 5 of 9: it no longer improved" in out.getvalue()
    assert "90.00 before, 21.00 after (step 5 of 5), on all" in out.getvalue()

"""The plan of a run, as run.json holds it: one flat list, whatever the groups in the code."""

from __future__ import annotations

import json
import re

import pytest

from penwright.config import FinetuneConfig, LoraConfig
from penwright.errors import UsageError
from penwright.files import jsonable
from penwright.report.options_table import help_lines
from penwright.train import TrainPlan

OLD = {
    "steps": 60, "steps_per_epoch": 134, "batch_size": 2, "micro_batch": 2, "max_length": 64,
    "shape": "windows", "precision": "fp32", "learning_rate": 0.00032, "schedule": "step",
    "warmup_steps": 3, "decay_factor": 0.1, "decay_steps": [20, 40], "method": "lora", "why": "",
    "recompute": False, "compile": False, "quantize": True, "lora_rank": 4, "lora_alpha": 16.0,
    "lora_dropout": 0.0, "lora_targets": ["c_attn"], "optimizer": "sgd", "weight_decay": 0.01,
    "beta1": 0.9, "beta2": 0.999, "eps": 1e-08, "clip": 1.0, "seed": 42, "evaluate_every": 6,
    "evaluate_tokens": 1024, "patience": 0, "save_every": 4, "save_seconds": 0.0, "keep": 2,
    "sample_every": 15, "sample_tokens": 16,
}  # fmt: skip
"""The plan in a run.json of version 0.1.0, before options were in groups."""


def test_a_plan_of_an_older_run_opens():
    plan = TrainPlan.from_json(OLD)
    assert plan.lora == LoraConfig(lora_rank=4, lora_targets=("c_attn",), quantize=True)
    assert (plan.optim.optimizer, plan.schedule.decay_steps) == ("sgd", (20, 40))
    assert plan.schedule.rate(45, plan.steps) == pytest.approx(0.00032 * 0.01)


def test_a_plan_is_the_same_after_run_json(make_trainer):
    plan = make_trainer("run", steps=3, method="lora", decay_epochs=(1.0,)).plan
    stored = json.loads(json.dumps(jsonable(plan.as_json())))
    assert set(OLD) <= set(stored), "names in run.json stay"
    assert TrainPlan.from_json(stored) == plan


@pytest.mark.parametrize("steps", [1, 3, 500])
def test_the_help_says_which_schedule_auto_is(make_trainer, steps):
    said = re.search(r"auto is (\w+)", help_lines(FinetuneConfig)["schedule"])
    assert make_trainer("run", steps=steps).plan.schedule.schedule == said[1]


def test_a_plan_with_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="no option 'momentum'"):
        TrainPlan.from_json(OLD | {"momentum": 0.9})

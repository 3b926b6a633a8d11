from __future__ import annotations

import inspect
import json
import re

import pytest

from penwright.config import EvaluateConfig
from penwright.errors import UsageError
from penwright.metrics import METRICS, measure, side_by_side

TEXTS = ["the goose sat in the council", "the goose asked for tea", "no tea"]
RIGHT = ["a goose sat in the council", ["the goose had tea", "the goose asked for cake"], "tea"]
ASKED = [["goose"], ["tea", "cake"], []]


def test_every_metric_has_its_interval_and_survives_json():
    pytest.importorskip("rouge_score", reason="needs rouge-score")
    found = measure(TEXTS, RIGHT, metrics=METRICS, wanted_keywords=ASKED)
    again = json.loads(json.dumps(found.as_json()))
    assert again["texts"] == 3
    assert list(again["figures"]) == [
        "ROUGE-1", "ROUGE-2", "ROUGE-L", "BLEU", "chrF", "exact match", "F1", "verbatim",
        "texts with all keywords", "keywords found",
        "distinct-1", "distinct-2", "distinct-3", "repetition", "shared",
        "self-BLEU", "loops", "words", "vocabulary",
    ]  # fmt: skip
    for figure in again["figures"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert found["chrF"].value == again["figures"]["chrF"]["value"]
    with pytest.raises(KeyError):
        found["ROUGE-9"]


def test_models_stand_side_by_side():
    pytest.importorskip("rouge_score", reason="needs rouge-score")
    before = measure(["x y", "z", "tea"], RIGHT, metrics=["rouge"])
    after = measure(TEXTS, RIGHT, metrics=["rouge", "chrf"])
    lines = side_by_side({"untrained": before, "trained": after}).splitlines()
    assert lines[0].split() == ["untrained", "trained"]
    assert [line.split()[0] for line in lines[1:]] == ["ROUGE-1", "ROUGE-2", "ROUGE-L", "chrF"]
    assert "[" in lines[1]
    assert str(after).splitlines()[0].startswith("ROUGE-1")


def test_what_is_lacking_is_told():
    with pytest.raises(UsageError, match=r"no metric 'bleau'.*bleu"):
        measure(TEXTS, RIGHT, metrics=["bleau"])
    with pytest.raises(UsageError, match="needs the references"):
        measure(TEXTS, metrics=["chrf"])
    with pytest.raises(UsageError, match="keywords needs"):
        measure(TEXTS, metrics=["keywords"])


def test_the_help_names_every_metric():
    said = inspect.getsource(EvaluateConfig)
    assert [name for name in METRICS if not re.search(rf"\b{name}\b", said)] == []

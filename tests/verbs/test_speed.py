"""The speed of writing: counted tokens and time, and what limits it."""

from __future__ import annotations

import json

import pytest

import penwright
from penwright.compute import read_bandwidth
from penwright.files import cache_folder
from penwright.verbs.speed import Speed, measure_speed


@pytest.fixture
def writer(monkeypatch, tmp_path):
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path))
    return penwright.load("base")


def test_everything_written_is_counted(writer):
    [one] = writer.generate("The old house", max_new_tokens=12, min_new_tokens=12)
    text = "".join(writer.stream("The old house", max_new_tokens=12, min_new_tokens=12))
    found = measure_speed(writer)
    assert one.text == text
    assert found.tokens == 24
    assert found.tokens_per_s == pytest.approx(24 / found.seconds)
    bandwidth = read_bandwidth(cache_folder() / "calibration.json")
    read = writer.source.n_bytes * (24 - found.accepted) / found.seconds
    assert found.share_of_bandwidth == pytest.approx(read / bandwidth)
    writer.generate(["a", "b"], max_new_tokens=2)
    assert measure_speed(writer).share_of_bandwidth is None


def test_said_in_one_line():
    speed = Speed(200, 2.0, 100.0, "int8", 0.634, 60, 38)
    assert str(speed) == (
        "200 tokens in 2.0 s: 100.0 tokens/s with int8 weights, "
        "63 % of what reading memory allows; 38 of 60 guessed tokens were right."
    )
    assert json.loads(json.dumps(speed.as_json()))["accepted"] == 38
    assert "stay in the processor's cache" in str(Speed(2, 1.0, 2.0, "int8", 1.2, 0, 0))

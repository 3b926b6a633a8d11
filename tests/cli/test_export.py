from __future__ import annotations

import json

import pytest

pytest.importorskip("transformers", reason="needs transformers")

from transformers import AutoModelForCausalLM, AutoTokenizer


def test_a_model_is_exported_checked_and_opened_elsewhere(penwright, tmp_path):
    words = (
        "export",
        "base",
        "--to",
        "huggingface",
        "-o",
        "out",
        "--dtype",
        "f32",
        "--check",
        "--json",
    )
    made = json.loads(penwright(*words).out)
    assert made["checked"]["largest"] < 1e-3
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = model.generate(
        **tokenizer("<|endoftext|>The sea", return_tensors="pt"), max_new_tokens=8, do_sample=False
    )
    theirs = tokenizer.decode(ids[0])
    ours = penwright(
        "generate", "./out", "--prompt", "The sea", "--max-new-tokens", "8", "--greedy"
    )
    assert theirs.endswith(ours.out.strip())


def test_an_output_in_use_is_refused(penwright, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    said = penwright("export", "base", "--to", "huggingface", "-o", "out")
    assert said.code == 2
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


def test_downloading_offline_is_told_in_a_sentence(penwright):
    said = penwright("download", "124M")
    assert (said.code, len(said.sentences)) == (1, 1)

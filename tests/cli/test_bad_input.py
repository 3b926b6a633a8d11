"""Each mistake gets one sentence, exit code 1 or 2, no traceback, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from penwright.weights.names import base_folder

pytestmark = pytest.mark.usefixtures("small_base")

SHORT = ("--steps", "2", "--model", "base", "--sample-every", "0", "--precision", "fp32")
STORY = "The goose asked for tea. " * 60


def refused(said, code, *words):
    assert said.code == code, said.err
    assert len(said.sentences) == 1, said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err, said.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("story.txt",)),
        (b"", ("story.txt", "empty")),
        (b"\x00\x01\x02\xff" * 500, ("story.txt", "text")),
        (b"ab\xff\xfe\x80cd" * 50, ("story.txt", "--encoding")),
    ],
)
def test_a_file_that_cannot_be_read(penwright, tmp_path, content, words):
    if content is not None:
        (tmp_path / "story.txt").write_bytes(content)
    refused(penwright("finetune", "story.txt", *SHORT), 1, *words)
    assert not (tmp_path / "runs").exists()


def test_an_unknown_column_names_the_others(penwright, tmp_path):
    (tmp_path / "t.csv").write_text("category,title\na,b\n")
    said = penwright("finetune", "t.csv", "--text-column", "titel", *SHORT)
    refused(said, 1, "t.csv", "titel", "title")


def test_pair_files_of_unequal_length_name_both_counts(penwright, tmp_path):
    (tmp_path / "s.wp_source").write_text("one\ntwo\nthree\n")
    (tmp_path / "s.wp_target").write_text("one\ntwo\n")
    refused(penwright("finetune", "s.wp_source", *SHORT), 1, "3", "2", "s.wp_target")


def test_a_document_with_nothing_to_learn(penwright, tmp_path):
    (tmp_path / "x.jsonl").write_text(
        '{"prompt": "a", "completion": "b"}\n{"prompt": "a", "completion": ""}\n'
    )
    refused(penwright("finetune", "x.jsonl", *SHORT), 1, "x.jsonl", "2")


def test_an_unknown_model_suggests_a_known_one(penwright, tmp_path):
    (tmp_path / "story.txt").write_text(STORY)
    said = penwright("finetune", "story.txt", *SHORT[:2], "--model", "124m")
    refused(said, 1, "124m", "124M")


@pytest.fixture
def broken_model(tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(base_folder(), folder)
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)

    def change(edit):
        tensors = load_file(folder / "model.safetensors")
        edit(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return "./broken"

    return change


def test_a_model_without_a_tensor(penwright, broken_model):
    name = broken_model(lambda tensors: tensors.pop("transformer.h.3.mlp.c_fc.weight"))
    refused(penwright("generate", name), 1, "h.3.mlp.c_fc.weight")


def test_a_model_with_a_tensor_too_many(penwright, broken_model):
    name = broken_model(lambda tensors: tensors.update({"transformer.extra": torch.zeros(2)}))
    refused(penwright("generate", name), 1, "extra")


def test_an_output_folder_in_use(penwright, tmp_path):
    (tmp_path / "story.txt").write_text(STORY)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    refused(penwright("finetune", "story.txt", "--output-dir", "thesis", *SHORT), 1, "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_an_unknown_key_in_the_toml(penwright, tmp_path):
    (tmp_path / "story.txt").write_text(STORY)
    (tmp_path / "my.toml").write_text("stepz = 3\n")
    said = penwright("finetune", "story.txt", "--config", "my.toml")
    refused(said, 2, "my.toml", "stepz", "steps")


def test_an_unknown_flag_suggests_the_right_one(penwright):
    refused(penwright("generate", "base", "--temprature", "1"), 2, "--temprature", "--temperature")


def test_an_unknown_verb(penwright):
    refused(penwright("finetunes"), 2, "finetune")


def test_a_loss_that_is_no_number_stops_the_run(penwright, tmp_path):
    (tmp_path / "story.txt").write_text(STORY)
    words = ("--model", "base", "--steps", "6", "--precision", "fp32", "--learning-rate", "1e38")
    said = penwright("finetune", "story.txt", *words)
    refused(said, 1, "--learning-rate")
    info = json.loads((tmp_path / "runs" / "story" / "run.json").read_text())
    assert info["status"] == "failed"


def test_a_data_set_smaller_than_a_window_shrinks_and_says_so(penwright, tmp_path):
    (tmp_path / "tiny.txt").write_text("The goose asked for tea, and the council made some.")
    said = penwright("finetune", "tiny.txt", *SHORT)
    assert said.code == 0, said.err
    assert "shorter" in said.err


def test_data_is_needed(penwright):
    refused(penwright("finetune", "--model", "base"), 2, "data")


def test_prompts_without_any(penwright, tmp_path):
    (tmp_path / "p.txt").write_text("\n\n")
    refused(penwright("generate", "base", "--prompts", "p.txt"), 1, "p.txt")

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penwright.errors import ModelError
from penwright.weights import names


def make_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def make_run(folder: Path, *, best: str = "", latest: str = "") -> Path:
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": "finished"}))
    for pointer, step in (("best", best), ("latest", latest)):
        if step:
            (checkpoints / pointer).write_text(step + "\n")
            if not (checkpoints / step).exists():
                make_model(checkpoints / step)
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_sizes_and_hub_names() -> None:
    assert names.resolve("124M").repository == "gpt2"
    assert names.resolve("1558M").repository == "gpt2-xl"
    assert names.resolve("distilgpt2") == names.Place("hub", repository="distilgpt2")
    assert names.resolve("somebody/her-model").repository == "somebody/her-model"


def test_base_is_the_bundled_model_and_dot_base_the_folder() -> None:
    make_model(Path("base"))
    assert names.resolve("base").path == names.base_folder()
    assert (names.base_folder() / "model.safetensors").is_file()
    assert names.resolve("./base").path == Path("base")


def test_a_folder_with_a_model_comes_before_a_run_of_its_name() -> None:
    make_run(Path("runs/poems"))
    assert names.resolve("poems").kind == "run"
    Path("poems").mkdir()
    assert names.resolve("poems").kind == "run"
    (Path("poems") / "config.json").write_text("{}")
    assert names.resolve("poems") == names.Place("huggingface", Path("poems"))


def test_a_run_by_name_by_path_and_in_another_folder() -> None:
    make_run(Path("runs/poems"))
    assert names.resolve("poems").path == Path("runs/poems")
    assert names.resolve("runs/poems").kind == "run"
    make_run(Path("elsewhere/poems"))
    assert names.resolve("poems", "elsewhere").path == Path("elsewhere/poems")


def test_best_comes_before_latest_and_a_dangling_pointer_is_passed_over() -> None:
    run = make_run(Path("runs/poems"), best="step-000002", latest="step-000005")
    assert names.checkpoint_of(run).name == "step-000002"
    (run / "checkpoints/best").write_text("step-000009\n")
    assert names.checkpoint_of(run).name == "step-000005"
    (run / "checkpoints/best").write_text("../../../etc\n")
    assert names.checkpoint_of(run).name == "step-000005"


def test_a_run_without_a_checkpoint() -> None:
    with pytest.raises(ModelError, match="no checkpoint yet"):
        names.checkpoint_of(make_run(Path("runs/poems")))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("runs/poms", "Did you mean 'poems'"),
        ("./nothing", "no model at ./nothing"),
        ("/nowhere/nothing", "no model at"),
        ("a/b/c", "no model at"),
        ("not a name", "no model 'not a name'"),
        ("", "no model ''"),
    ],
)
def test_unknown_names(name: str, says: str) -> None:
    make_run(Path("runs/poems"), latest="step-000001")
    with pytest.raises(ModelError, match=says):
        names.resolve(name)


def test_unknown_suggests_runs_and_sizes() -> None:
    make_run(Path("runs/poems"))
    assert "'poems'" in names.unknown("pomes").fix
    assert "'124M'" in names.unknown("124m").fix
    assert "'124M'" in names.unknown("gpt2-small").fix
    assert "'distilgpt2'" in names.unknown("distillgpt2").fix


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    Path("story.txt").write_text("once")
    with pytest.raises(ModelError, match="not a model file"):
        names.resolve("story.txt")
    with pytest.raises(ModelError, match="no model in"):
        names.resolve(tmp_path / "story.txt")

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penwright import files, runs
from penwright.errors import RunError
from penwright.runs import Run


@pytest.fixture
def make_run():
    made = []

    def make(folder, *, overwrite=False, **info):
        made.append(Run.create(folder, overwrite=overwrite))
        made[-1].update(status="running", **info)
        return made[-1]

    yield make
    for run in made:
        run.close()


def test_a_run_is_meant_by_its_name_or_its_folder(tmp_path, make_run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs" / "story")
    make_run(tmp_path / "elsewhere")
    (tmp_path / "story").mkdir()  # no run, so it does not hide the one of that name
    assert runs.find_run("story").folder == Path("runs/story")
    assert runs.find_run("elsewhere").folder == Path("elsewhere")
    assert runs.find_run(tmp_path / "elsewhere").folder == tmp_path / "elsewhere"
    with pytest.raises(RunError, match=r"no run in runs/storey. Did you mean 'story'"):
        runs.find_run("storey")
    with pytest.raises(RunError, match="no run in a/b"):
        runs.find_run("a/b")


def test_a_run_in_use_is_refused_and_a_dead_process_lets_go(tmp_path, make_run):
    run = make_run(tmp_path / "one")
    code = f"""
from pathlib import Path
from penwright.runs import Run
from penwright.errors import RunError
try:
    Run.open(Path({str(run.folder)!r})).claim()
except RunError as error:
    print(error)
"""
    spoken = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "Another process is writing" in spoken
    assert run.status == "running"
    run.close()
    assert run.status == "interrupted"
    again = Run.open(run.folder)
    again.claim()
    again.close()


def test_an_older_run_is_kept_unless_overwrite_is_asked_for(tmp_path, make_run):
    first = make_run(tmp_path / "one", note="precious")
    first.close()
    first.write_samples(1, [{"prompt": "a", "text": "b"}])
    (first.folder / "my notes.txt").write_text("mine")
    (first.folder / "recipe.json").write_text("{}")
    with pytest.raises(RunError, match="--resume"):
        Run.create(tmp_path / "one")
    assert first.info["note"] == "precious"
    second = make_run(tmp_path / "one", overwrite=True)
    assert "note" not in second.info
    assert not list((second.folder / "samples").iterdir())
    assert not (second.folder / "recipe.json").exists()
    assert (second.folder / "my notes.txt").read_text() == "mine"


def test_a_folder_that_is_no_run_is_never_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(RunError, match="is not a run"):
        Run.create(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_what_a_killed_start_left_is_begun_again_and_no_more_than_that(tmp_path):
    folder = tmp_path / "one"
    (folder / "checkpoints").mkdir(parents=True)
    Run.create(folder).close()
    (folder / "checkpoints" / "step-000001").mkdir()
    with pytest.raises(RunError, match="is not a run"):
        Run.create(folder)
    Run.create(folder, overwrite=True).close()
    assert not list((folder / "checkpoints").iterdir())
    (folder / "checkpoints" / "mine").mkdir()
    (folder / "lock").unlink()
    with pytest.raises(RunError, match="is not a run"):
        Run.create(folder, overwrite=True)
    assert (folder / "checkpoints" / "mine").is_dir()


def test_a_cut_off_last_line_of_metrics_is_left_out_and_a_damaged_one_named(tmp_path, make_run):
    run = make_run(tmp_path / "one")
    for step in (1, 2, 3):
        run.append_metrics({"kind": "step", "step": step, "loss": float("nan")})
    path = run.folder / "metrics.jsonl"
    path.write_text(path.read_text() + '{"kind": "st')
    assert [record["step"] for record in run.metrics()] == [1, 2, 3]
    assert run.last_step() == 3
    assert run.metrics()[0]["loss"] is None
    run.forget_after(2)
    assert [record["step"] for record in run.metrics()] == [1, 2]
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl:2"):
        run.metrics()
    path.write_text("no JSON\n")
    with pytest.raises(RunError, match="damaged line"):
        run.last_step()


def test_what_a_run_left_that_was_killed_as_it_began_is_no_run_and_in_no_way(tmp_path, make_run):
    folder = tmp_path / "one"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "lock").touch()
    (folder / ".run.json.123.tmp").write_text('{"version"')
    run = make_run(folder)
    run.forget_after(-1)
    assert not list(folder.glob(".*"))


def test_forgetting_drops_later_samples_only(tmp_path, make_run):
    run = make_run(tmp_path / "one")
    for step in (0, 10, 20):
        run.write_samples(step, [{"prompt": "a", "text": f" b{step}", "finish_reason": "end"}])
    run.forget_after(10)
    left = sorted(path.name for path in (run.folder / "samples").iterdir())
    assert left == [
        "step-000000.json",
        "step-000000.txt",
        "step-000010.json",
        "step-000010.txt",
    ]
    assert (run.folder / "samples" / "step-000010.txt").read_text() == "a b10\n"


def test_a_manifest_finds_any_flipped_cut_or_missing_file(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"0123456789")
    runs.write_manifest(tmp_path)
    assert runs.find_damage(tmp_path) is None
    for damage in (b"0123456788", b"01234"):
        (tmp_path / "b").write_bytes(damage)
        assert "b is damaged" in str(runs.find_damage(tmp_path))
    (tmp_path / "b").unlink()
    assert "b is missing" in str(runs.find_damage(tmp_path))
    runs.drop_files(tmp_path, "b")
    assert runs.find_damage(tmp_path) is None
    (tmp_path / runs.MANIFEST).write_text("{")
    assert "manifest.json" in str(runs.find_damage(tmp_path))


def test_a_missing_run_suggests_a_near_name(tmp_path, make_run):
    make_run(tmp_path / "stories")
    with pytest.raises(RunError, match="Did you mean 'stories'"):
        Run.open(tmp_path / "storys")


def test_what_a_killed_process_left_half_deleted_is_in_nobodys_way(tmp_path, make_run):
    run = make_run(tmp_path / "one")
    for _ in range(2):
        run.checkpoint(7).mkdir()
        (run.checkpoint(7) / "file").write_text("1")
        left = run.checkpoints / ".step-000007.old"
        left.mkdir(exist_ok=True)
        (left / "half").write_text("2")
        files.remove_folder(run.checkpoint(7))
    (run.checkpoints / ".step-000009.tmp").mkdir()
    run.forget_after(0)
    assert list(run.checkpoints.iterdir()) == []


def test_the_process_that_holds_a_run_is_known(make_run, tmp_path):
    run = make_run(tmp_path / "one")
    assert Run(run.folder).holder() == os.getpid()
    run.close()
    assert run.holder() is None

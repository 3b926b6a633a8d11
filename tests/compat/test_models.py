"""download_gpt2, is_gpt2_downloaded, load_gpt2, and the sessions."""

# ruff: noqa: ARG001 - fixtures that only set the place

from __future__ import annotations

import subprocess
import sys

import pytest

import penwright.compat.gpt_2_simple as gpt2
from penwright.errors import ModelError

from .conftest import openai_layout, tensorflow_run


@pytest.mark.parity("gpt-2-simple: is_gpt2_downloaded")
def test_is_gpt2_downloaded_knows_openais_files(place, small_vocabulary):
    assert not gpt2.is_gpt2_downloaded()
    folder = openai_layout(place / "models" / "124M", small_vocabulary)
    assert gpt2.is_gpt2_downloaded()
    assert gpt2.is_gpt2_downloaded(model_name="117M")
    (folder / "vocab.bpe").unlink()
    assert not gpt2.is_gpt2_downloaded()


def test_is_gpt2_downloaded_knows_hugging_face_folders(home):
    assert gpt2.is_gpt2_downloaded()
    (home / "models" / "124M" / "model.safetensors").unlink()
    assert not gpt2.is_gpt2_downloaded()


@pytest.mark.parity("gpt-2-simple: download_gpt2")
def test_download_gpt2_puts_a_whole_model_into_its_folder(place, capsys):
    gpt2.download_gpt2(model_name="base")
    assert gpt2.is_gpt2_downloaded(model_name="base")
    assert "Fetching base into models/base" in capsys.readouterr().out
    gpt2.download_gpt2(model_name="base")
    assert "models/base is there already" in capsys.readouterr().out
    sess = gpt2.start_tf_sess()
    gpt2.load_gpt2(sess, model_name="base")
    assert len(gpt2.generate(sess, length=5, return_as_list=True)) == 1


def test_download_gpt2_takes_the_models_old_names_and_the_hubs_word(place, monkeypatch):
    asked = []

    def fetch(repository):
        asked.append(repository)
        raise ModelError("The Hub cannot be reached.")

    monkeypatch.setattr("penwright.weights.hub.fetch", fetch)
    for name in ("124M", "117M", "345M", "distilgpt2"):
        with pytest.raises(ModelError, match="cannot be reached"):
            gpt2.download_gpt2(model_name=name)
    assert asked == ["gpt2", "gpt2", "gpt2-medium", "distilgpt2"]
    assert not (place / "models").exists()


def test_download_gpt2_touches_no_folder_of_something_else(place):
    (place / "models" / "base").mkdir(parents=True)
    (place / "models" / "base" / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="no whole model"):
        gpt2.download_gpt2(model_name="base")
    assert (place / "models" / "base" / "notes.txt").read_text() == "mine"


def test_load_gpt2_says_what_it_loads_and_what_is_missing(home, capsys):
    sess = gpt2.start_tf_sess(threads=1)
    gpt2.load_gpt2(sess, model_name="124M")
    assert capsys.readouterr().out == "Loading pretrained model models/124M\n"
    with pytest.raises(ModelError, match=r"no model in models/355M.*download_gpt2"):
        gpt2.load_gpt2(sess, model_name="355M")
    with pytest.raises(ModelError, match=r"no trained model in checkpoint/run1.*finetune"):
        gpt2.load_gpt2(sess)


@pytest.mark.parity("gpt-2-simple: load_gpt2")
def test_load_gpt2_takes_a_checkpoint_by_name(train, capsys):
    train(steps=2, save_every=1, max_checkpoints=3)
    sess = gpt2.start_tf_sess()
    gpt2.load_gpt2(sess, checkpoint="model-1")
    assert "checkpoint/run1/checkpoints/step-000001" in capsys.readouterr().out
    first = gpt2.generate(sess, length=8, seed=1, return_as_list=True)
    gpt2.load_gpt2(sess)
    assert gpt2.generate(sess, length=8, seed=1, return_as_list=True) != first
    with pytest.raises(ModelError, match=r"step-000001, step-000002"):
        gpt2.load_gpt2(sess, checkpoint="model-9")


def test_load_gpt2_opens_a_run_that_tensorflow_left(place, small_vocabulary, capsys):
    tensorflow_run(place / "checkpoint" / "run1", small_vocabulary)
    sess = gpt2.start_tf_sess()
    gpt2.load_gpt2(sess)
    by_name = gpt2.start_tf_sess()
    gpt2.load_gpt2(by_name, checkpoint="model-500")
    assert capsys.readouterr().out.startswith("Loading checkpoint checkpoint/run1\n")
    texts = [gpt2.generate(s, length=6, seed=3, return_as_list=True) for s in (sess, by_name)]
    assert texts[0] == texts[1]


@pytest.mark.parity("gpt-2-simple: reset_session")
def test_start_tf_sess_and_reset_session_give_sessions(home):
    sess = gpt2.start_tf_sess()
    gpt2.load_gpt2(sess, model_name="124M")
    fresh = gpt2.reset_session(sess)
    assert fresh is not sess
    assert sess.place is None
    with pytest.raises(ModelError, match="no trained model"):
        gpt2.generate(fresh)


@pytest.mark.parity("gpt-2-simple: get_available_gpus")
def test_get_available_gpus_is_a_list_of_names(monkeypatch):
    for cards, names in ((0, []), (2, ["/device:GPU:0", "/device:GPU:1"])):
        monkeypatch.setattr("torch.cuda.device_count", lambda cards=cards: cards)
        assert gpt2.get_available_gpus() == names


@pytest.mark.parity("gpt-2-simple: start_tf_sess(threads)")
def test_start_tf_sess_limits_the_threads():
    code = (
        "import penwright.compat.gpt_2_simple as gpt2, torch;"
        "gpt2.start_tf_sess(threads=3); assert torch.get_num_threads() == 3;"
        "gpt2.start_tf_sess(); assert torch.get_num_threads() == 3"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

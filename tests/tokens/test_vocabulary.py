"""Vocabularies on disk: GPT-2's to the byte, every layout of files, and damaged ones."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest
import tokenizers

pytest.importorskip("transformers", reason="needs transformers")

from transformers import AutoTokenizer

from penwright.errors import TokenizerError
from penwright.tokens import Tokenizer

VOCAB_SHA256 = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
MERGES_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
SCRIPT = Path(__file__).parents[2] / "tools" / "build_gpt2_vocabulary.py"


@pytest.fixture(scope="module")
def saved(gpt2, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    gpt2.save(folder, max_length=1024)
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_saving_gives_openais_files_back(saved):
    assert (saved / "vocab.json").stat().st_size == 1_042_301
    assert sha256(saved / "vocab.json") == VOCAB_SHA256
    assert sha256(saved / "merges.txt") == MERGES_SHA256


def test_the_script_rebuilds_both_files_from_ranks(gpt2):
    spec = importlib.util.spec_from_file_location("build_gpt2_vocabulary", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    tokens = list(gpt2.vocabulary.token_bytes[:-1])
    merges = script.render_merges(tokens)
    vocabulary = script.render_vocabulary(tokens, {"<|endoftext|>": 50256})
    assert hashlib.sha256(merges).hexdigest() == MERGES_SHA256 == script.MERGES_SHA256
    assert hashlib.sha256(vocabulary).hexdigest() == VOCAB_SHA256 == script.VOCAB_SHA256


def test_every_layout_is_the_same_tokenizer(gpt2, saved, tmp_path):
    for names in (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")):
        folder = tmp_path / names[0]
        folder.mkdir()
        (folder / names[0]).write_bytes((saved / "vocab.json").read_bytes())
        (folder / names[1]).write_bytes((saved / "merges.txt").read_bytes())
        assert Tokenizer.from_folder(folder).hash == gpt2.hash
    assert Tokenizer.from_folder(saved).hash == gpt2.hash
    assert (gpt2.vocab_size, gpt2.eot_id) == (50257, 50256)


def test_merges_may_be_written_as_strings_and_with_carriage_returns(gpt2, saved, tmp_path):
    content = json.loads((saved / "tokenizer.json").read_text("utf-8"))
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    assert Tokenizer.from_folder(tmp_path).hash == gpt2.hash
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.json").write_bytes((saved / "vocab.json").read_bytes())
    merges = (saved / "merges.txt").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "merges.txt").write_bytes(merges)
    assert Tokenizer.from_folder(tmp_path).hash == gpt2.hash


@pytest.mark.parametrize("which", ["gpt2", "small"])
def test_transformers_reads_what_is_saved(which, request, tmp_path):
    ours = request.getfixturevalue(which).with_added(["<sep>", "<|startoftext|>"])
    ours.save(tmp_path, max_length=77)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    text = "It's  a <sep>small\n\nworld — 1999 <|startoftext|> é <|endoftext|>"
    markers = (*ours.added, "<|endoftext|>")
    assert theirs(text)["input_ids"] == ours.encode(text, markers=markers)
    assert theirs.decode(ours.encode(text)) == text
    assert (len(theirs), theirs.model_max_length) == (ours.vocab_size, 77)
    assert theirs.eos_token_id == theirs.bos_token_id == ours.eot_id


def test_added_markers_survive_saving(small, tmp_path):
    ours = small.with_added(["<sep>", "<b>"]).with_added(["<sep>", "<c>"])
    assert ours.added == ("<sep>", "<b>", "<c>")
    assert ours.vocab_size == small.vocab_size + 3
    ours.save(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert (again.hash, again.added) == (ours.hash, ours.added)
    assert ours.hash != small.hash


def test_another_end_of_text_marker_is_found(small, tmp_path):
    small.save(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (tmp_path / name).read_text("utf-8").replace("<|endoftext|>", "</s>")
        (tmp_path / name).write_text(text, "utf-8")
    assert Tokenizer.from_folder(tmp_path).eot_id == small.eot_id


def change(path: Path, **changes) -> None:
    content = json.loads(path.read_text("utf-8"))
    for key, value in changes.items():
        target, *rest = key.split("__")
        if rest:
            content[target][rest[0]] = value
        else:
            content[target] = value
    path.write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model__type": "Unigram"}, "cannot be read by the tokenizers library"),
        ({"normalizer": {"type": "Lowercase"}, "decoder": {"type": "CTC"}}, "type CTC"),
        ({"model__vocab": {"a": 0, "b": 0}}, "two tokens the same id"),
        ({"model__vocab": {"a": "x"}}, "not a whole number"),
        ({"model__vocab": {"a": 0}}, "no token for byte 0x00"),
        ({"model__merges": [["a"]]}, "a merge should hold two tokens"),
        ({"model__merges": [["q", "q"]]}, "into no known token"),
        ({"added_tokens": [{"content": "x"}]}, "lacks its text or its id"),
    ],
)
def test_a_tokenizer_of_another_kind_is_refused_in_a_sentence(small, tmp_path, changes, words):
    small.save(tmp_path)
    change(tmp_path / "tokenizer.json", **changes)
    with pytest.raises(TokenizerError, match=words) as caught:
        Tokenizer.from_folder(tmp_path)
    assert "tokenizer.json" in caught.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": None},
        {"model__ignore_merges": True},
        {"pre_tokenizer__use_regex": False},
    ],
)
def test_other_tokenizers_encode_as_the_library_does(small, tmp_path, changes):
    small.with_added(["<sep>"]).save(tmp_path)
    change(tmp_path / "tokenizer.json", **changes)
    ours = Tokenizer.from_folder(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "It's A <sep>Small\n\nWorld  1999 é 中文"
    ids = ours.encode(text, markers=["<sep>"])
    assert ids == theirs.encode(text).ids
    assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)
    ours.save(tmp_path / "again")
    again = Tokenizer.from_folder(tmp_path / "again")
    assert (again.hash, again.encode(text, markers=["<sep>"])) == (ours.hash, ids)


def test_a_sentencepiece_model_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "spiece.model").write_bytes(b"x")
    with pytest.raises(TokenizerError, match="SentencePiece") as caught:
        Tokenizer.from_folder(tmp_path)
    assert "save_pretrained" in caught.value.fix


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(TokenizerError, match="no tokenizer in"):
        Tokenizer.from_folder(tmp_path)


def test_damaged_files_are_named(small, tmp_path):
    small.save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{", "utf-8")
    with pytest.raises(TokenizerError, match=r"tokenizer\.json is not valid JSON"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\nabc\n", "utf-8")
    with pytest.raises(TokenizerError, match=r"merges\.txt:3 should hold two tokens"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "merges.txt").write_bytes(b"\xff")
    with pytest.raises(TokenizerError, match=r"merges\.txt is not UTF-8 at byte 0"):
        Tokenizer.from_folder(tmp_path)

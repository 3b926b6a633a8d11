"""generate and generate_to_file."""

# ruff: noqa: ARG001 - fixtures that only set the place

from __future__ import annotations

from pathlib import Path

import pytest

import penwright.compat.gpt_2_simple as gpt2
from penwright.errors import UsageError

SHORT = {"model_name": "124M", "length": 12, "seed": 1}


@pytest.fixture
def sess(home):
    return gpt2.start_tf_sess()


def texts(sess, **options):
    return gpt2.generate(sess, **SHORT | {"return_as_list": True} | options)


@pytest.mark.parity(
    "gpt-2-simple: generate",
    "gpt-2-simple: generate return_as_list",
    "gpt-2-simple: generate nsamples",
)
def test_return_as_list_prints_nothing(sess, capsys):
    found = texts(sess, nsamples=3)
    assert len(found) == 3
    assert len(set(found)) == 3
    assert capsys.readouterr().out == ""


@pytest.mark.parity("gpt-2-simple: generate sample_delim")
def test_texts_are_printed_with_sample_delim_between(sess, capsys):
    found = texts(sess, nsamples=2)
    assert gpt2.generate(sess, **SHORT, nsamples=2) is None
    bar = "=" * 20
    assert capsys.readouterr().out == f"{found[0]}\n{bar}\n{found[1]}\n{bar}\n"
    gpt2.generate(sess, **SHORT, nsamples=2, sample_delim="--")
    assert capsys.readouterr().out == f"{found[0]}\n--{found[1]}\n--"


def test_a_single_text_has_no_delimiter(sess, capsys):
    gpt2.generate(sess, **SHORT)
    assert capsys.readouterr().out == texts(sess)[0] + "\n"


@pytest.mark.parity("gpt-2-simple: generate prefix", "gpt-2-simple: generate include_prefix")
def test_prefix_and_include_prefix(sess):
    with_, without = (texts(sess, prefix="the goose", include_prefix=i)[0] for i in (True, False))
    assert with_.startswith("the goose")
    assert with_ == "the goose" + without


@pytest.mark.parity("gpt-2-simple: generate length")
def test_length_counts_the_prefix(sess, home, tokenizer):
    prefix = "the goose"
    most = len(tokenizer.encode(prefix)) + 3
    whole = texts(sess, prefix=prefix, length=most, temperature=0)[0]
    assert tokenizer.encode(whole)[:most] == tokenizer.encode(whole)
    with pytest.raises(UsageError, match="leaves no room"):
        texts(sess, prefix=prefix, length=most - 3)


@pytest.mark.parity("gpt-2-simple: generate truncate")
def test_truncate_ends_a_text_and_is_left_out(sess):
    long = texts(sess, length=40)[0]
    mark = long[10:13]
    assert texts(sess, length=40, truncate=mark)[0] == long[: long.index(mark)].lstrip("\n")


def test_truncate_is_looked_for_after_the_prefix(sess):
    whole = texts(sess, prefix="tea for two", truncate="tea")[0]
    assert whole.startswith("tea for two")


def test_a_marked_document_is_marked_at_its_end(sess, monkeypatch):
    from penwright.sample import Sample
    from penwright.verbs.generate import Writer

    def ended(_self, config):
        return [Sample(config.prompt[0], "tea", "end", 1, 0, 0)]

    monkeypatch.setattr(Writer, "generate_with", ended)
    start, end = "<|startoftext|>", "<|endoftext|>"
    assert texts(sess, prefix=start) == [f"{start}tea{end}"]
    assert texts(sess, prefix=start, truncate=end) == [f"{start}tea"]
    assert texts(sess, prefix=start, truncate=end, include_prefix=False) == ["tea"]
    assert texts(sess, prefix=start, include_prefix=False) == ["tea"]
    assert texts(sess, prefix="green ") == ["green tea"]


@pytest.mark.parity("gpt-2-simple: generate seed")
def test_seed_repeats_and_no_seed_does_not(sess):
    assert texts(sess, seed=0) == texts(sess, seed=0)
    assert texts(sess, seed=None, length=40) != texts(sess, seed=None, length=40)


@pytest.mark.parity("gpt-2-simple: generate batch_size")
def test_batch_size_changes_no_text(sess):
    one = texts(sess, nsamples=5)
    assert texts(sess, nsamples=5, batch_size=2) == one
    assert texts(sess, nsamples=5, batch_size=None) == one


@pytest.mark.parity(
    "gpt-2-simple: generate top_p",
    "gpt-2-simple: generate top_k",
    "gpt-2-simple: generate temperature",
)
def test_top_p_goes_before_top_k_and_zero_temperature_is_the_likeliest(sess):
    assert texts(sess, top_p=0.9, top_k=1) == texts(sess, top_p=0.9)
    assert texts(sess, top_k=1) == texts(sess, temperature=0, seed=9)
    assert texts(sess, top_p=0.9) != texts(sess, top_k=1)
    assert texts(sess, temperature=0.01) != texts(sess, temperature=5.0)


def test_an_empty_prefix_is_none(sess):
    assert texts(sess, prefix="") == texts(sess)


@pytest.mark.parity("gpt-2-simple: generate destination_path")
def test_generate_writes_to_destination_path(sess, capsys):
    found = texts(sess, nsamples=2, destination_path="out/texts.txt")
    written = Path("out/texts.txt").read_bytes().decode()
    assert written == "".join(f"{text}\n" + "=" * 20 + "\n" for text in found)
    assert capsys.readouterr().out == ""


@pytest.mark.parity("gpt-2-simple: generate_to_file")
def test_generate_to_file_has_a_name_of_its_own(sess, home):
    assert gpt2.generate_to_file(sess, **SHORT, nsamples=2) is None
    assert (home / "gpt_2_gen_texts.txt").read_text().count("=" * 20) == 2
    gpt2.generate_to_file(sess, **SHORT, destination_path="one.txt")
    assert (home / "one.txt").read_text() == texts(sess)[0] + "\n"


def test_the_session_decides_unless_the_call_names_a_model(train, sess):
    train(sess=sess, steps=8, learning_rate=0.1)
    tuned = gpt2.generate(sess, length=9, seed=1, return_as_list=True)
    assert gpt2.generate(None, length=9, seed=1, return_as_list=True) == tuned
    assert gpt2.generate(object(), run_name="run1", length=9, seed=1, return_as_list=True) == tuned
    gpt2.load_gpt2(sess, model_name="124M")
    plain = gpt2.generate(sess, length=9, seed=1, return_as_list=True)
    assert plain == gpt2.generate(None, model_name="124M", length=9, seed=1, return_as_list=True)
    assert plain != tuned

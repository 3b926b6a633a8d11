"""Folders of the kinds that people share, written by transformers: read here with equal results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="needs transformers")

import transformers

from penwright import sample, weights
from penwright.config import SamplingConfig
from penwright.document import Document, Source, Span
from penwright.tokens import Tokenizer, prepare
from tests.weights.lookalikes import END, KINDS, Kind, Maker, prefix_space, special_tokens

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

STEPS = 20
GREEDY = SamplingConfig(greedy=True, max_new_tokens=STEPS)


@pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)
def test_a_folder_of_transformers_reads_the_same(
    tmp_path: Path, base_tokenizer: Tokenizer, write: Callable[[Maker], Kind]
) -> None:
    kind = write(Maker(tmp_path, base_tokenizer))
    load = transformers.AutoModelForCausalLM.from_pretrained
    theirs = kind.model or load(kind.folder, dtype=torch.float32).eval()
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(kind.folder)
    end_soon(kind, theirs, weights.open(kind.folder).tokenizer)
    opened = weights.open(kind.folder, dtype=torch.float32)
    ours = opened.tokenizer
    assert kind.notes in " ".join(opened.notes)
    reasons = set()
    for prompt in kind.prompts:
        ids = their_tokenizer(prompt, add_special_tokens=False)["input_ids"]
        assert ours.encode(prompt, markers=tuple(ours.vocabulary.markers)) == ids
        row = ours.encode_prompt(prompt)
        assert row in (ids, [ours.eot_id, *ids])
        tokens_BT = torch.tensor([row])
        with torch.no_grad():
            expected = theirs(tokens_BT).logits
            found = opened.model.logits(opened.model(tokens_BT))
        assert torch.allclose(found, expected, atol=1e-4, rtol=1e-4)
        written = continue_greedily(theirs, row)
        (text,) = sample.generate(opened.model, ours, [prompt], 1, GREEDY)
        reasons.add(text.finish_reason)
        ends = written[-1:] if text.finish_reason == "end" else []
        assert text.tokens == len(written) - len(ends)
        spoken = their_tokenizer.decode(written[: text.tokens], skip_special_tokens=True)
        assert squeezed(text.text) == squeezed(spoken)
    assert "end" in reasons


def continue_greedily(model: Any, row: list[int], end: Any = None) -> list[int]:
    ends = {} if end is None else {"eos_token_id": end}
    tokens_BT = torch.tensor([row])
    mask_BT = torch.ones_like(tokens_BT)
    length = {"max_new_tokens": STEPS, "pad_token_id": 0}
    written = model.generate(
        input_ids=tokens_BT, attention_mask=mask_BT, do_sample=False, **length, **ends
    )
    found: list[int] = written[0, len(row) :].tolist()
    return found


def end_soon(kind: Kind, theirs: Any, ours: Tokenizer) -> None:
    """Make a token that is written soon an end of texts, in the folder's own settings."""
    written = continue_greedily(theirs, ours.encode_prompt(kind.prompts[0]), end=-1)
    ends = [*ours.end_ids, written[5]]
    path = kind.folder / kind.settings
    path.write_text(json.dumps({"eos_token_id": ends}))
    theirs.generation_config.eos_token_id = ends


def squeezed(text: str) -> str:
    """A text without what a decoder does to spaces, and without an unfinished last character."""
    return "".join(text.split()).rstrip("\N{REPLACEMENT CHARACTER}")


def test_data_is_encoded_with_the_tokens_of_the_folder_and_no_others(
    tmp_path: Path, base_tokenizer: Tokenizer
) -> None:
    kind = special_tokens(Maker(tmp_path, base_tokenizer))
    ours = weights.open(kind.folder).tokenizer
    theirs = transformers.AutoTokenizer.from_pretrained(kind.folder)
    text = "<speaker1>Hi <mask> cat<speaker2>Yes.<|speaker3|><|pad|><|pad|>"
    store = prepare(
        [Document((Span(text), Span(f" So {END} there", False)), Source("a.txt"))],
        ours,
        tmp_path / "store",
    )
    tokens = store.tokens(0, store.n_tokens).tolist()
    end_as_text = base_tokenizer.encode(f" So {END} there")
    expected = theirs(text)["input_ids"]
    assert tokens == [ours.eot_id, *expected, *end_as_text, ours.eot_id]
    learned = store.learn(0, store.n_tokens)[1:-1].tolist()
    pad = theirs.pad_token_id
    assert learned == [id_ != pad for id_ in expected] + [False] * len(end_as_text)


def test_a_space_begins_a_document_but_no_span_within_it(
    tmp_path: Path, base_tokenizer: Tokenizer
) -> None:
    kind = prefix_space(Maker(tmp_path, base_tokenizer))
    ours = weights.open(kind.folder).tokenizer
    theirs = transformers.AutoTokenizer.from_pretrained(kind.folder)
    spans = (Span("Once", False), Span("upon<sep>a"), Span(" time"))
    store = prepare([Document(spans, Source("a.txt"))], ours, tmp_path / "store")
    parts = (" Once", "upon", "<sep> a", " time")
    bare = base_tokenizer.with_added(["<sep>"])
    expected = [id_ for part in parts for id_ in bare.encode(part, markers=["<sep>"])]
    assert store.tokens(1, store.n_tokens - 1).tolist() == expected
    assert ours.decode(theirs("Once")["input_ids"]) == " Once"


def test_a_stop_that_is_a_special_token_stops(tmp_path: Path, base_tokenizer: Tokenizer) -> None:
    opened = weights.open(special_tokens(Maker(tmp_path, base_tokenizer)).folder)
    row = opened.tokenizer.encode_prompt("Once")
    speaker = opened.tokenizer.marker_id("<speaker2>")
    with torch.no_grad():
        for weight in (opened.model.embed_tokens.weight,):
            last_C = opened.model(torch.tensor([row]))[0, -1]
            weight[speaker] = last_C * 100  # the likeliest next token, whatever else there is
    for beams in (1, 2):
        sampling = SamplingConfig(greedy=True, stop=("<speaker2>",), num_beams=beams)
        (text,) = sample.generate(opened.model, opened.tokenizer, ["Once"], 1, sampling)
        assert (text.text, text.finish_reason) == ("", "stop")


def test_added_tokens_without_a_row_in_the_embedding_are_text(
    tmp_path: Path, base_tokenizer: Tokenizer
) -> None:
    make = Maker(tmp_path, base_tokenizer)
    tokenizer = make.tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    opened = weights.open(make.folder(make.model(), tokenizer))
    assert "Ignored: [PAD]" in opened.notes[0]
    assert opened.tokenizer.encode("a[PAD]") == base_tokenizer.encode("a[PAD]")


def test_what_is_saved_again_ends_and_reads_as_before(
    tmp_path: Path, base_tokenizer: Tokenizer
) -> None:
    kind = special_tokens(Maker(tmp_path, base_tokenizer))
    settings = kind.folder / "generation_config.json"
    settings.write_text(json.dumps({"eos_token_id": [0, 300]}))
    first = weights.open(kind.folder)
    weights.save(tmp_path / "again", first.model, first.tokenizer, card="", penwright={})
    again = weights.open(tmp_path / "again")
    assert again.tokenizer.hash == first.tokenizer.hash
    assert again.tokenizer.end_ids == first.tokenizer.end_ids == (0, 300)
    assert again.tokenizer.hidden == first.tokenizer.hidden
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "again")
    for prompt in kind.prompts:
        assert theirs(prompt)["input_ids"] == first.tokenizer.encode(
            prompt, markers=tuple(first.tokenizer.vocabulary.markers)
        )

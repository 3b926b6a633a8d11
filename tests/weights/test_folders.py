"""Folders that we write open in transformers, and theirs here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs transformers")

import transformers

from penwright import weights
from penwright.document import END_OF_TEXT
from penwright.errors import ModelError
from penwright.model import GPT2
from penwright.tokens.bpe import Tokenizer
from penwright.weights import huggingface, stored

from .models import logits, random_model, some_tokens, tiny_config

TEXTS = ["Once upon a time", "  two  spaces\n\nand naïve café 🙂", "<|endoftext|> is text"]


def greedy(model: GPT2, ids: list[int], steps: int) -> list[int]:
    for _ in range(steps):
        ids = [*ids, int(logits(model, torch.tensor([ids]))[0, -1].argmax())]
    return ids


def test_what_is_saved_opens_again(saved: tuple[Path, GPT2]) -> None:
    folder, model = saved
    opened = weights.open(folder)
    assert opened.format == {"stop": ["\n"]}
    assert (opened.name, opened.path) == (str(folder), folder)
    assert not opened.model.training
    state = model.state_dict()
    assert opened.model.state_dict().keys() == state.keys()
    for name, tensor in opened.model.state_dict().items():
        assert torch.equal(tensor, state[name])
    wanted = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    wanted |= {"tokenizer_config.json", "vocab.json", "merges.txt", "README.md", "penwright.json"}
    assert {file.name for file in folder.iterdir()} == wanted


@pytest.mark.parametrize("tied", [True, False])
def test_transformers_opens_our_folder(
    tmp_path: Path, base_tokenizer: Tokenizer, tied: bool
) -> None:
    model = random_model(tiny_config(tie_word_embeddings=tied))
    weights.save(tmp_path, model, base_tokenizer, card="", penwright={})
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokens_BT = some_tokens(model.config)
    with torch.no_grad():
        expected = theirs(tokens_BT).logits
    assert torch.allclose(logits(model, tokens_BT), expected, atol=1e-4)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS[:2]:
        assert tokenizer(text)["input_ids"] == base_tokenizer.encode(text)
    ids = base_tokenizer.encode(TEXTS[0])
    written = theirs.generate(
        torch.tensor([ids]), do_sample=False, max_new_tokens=15, eos_token_id=-1
    )
    assert written[0].tolist() == greedy(model, ids, 15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_we_open_the_folders_of_transformers(
    tmp_path: Path, base_tokenizer: Tokenizer, dtype: torch.dtype
) -> None:
    model = random_model(tiny_config())
    weights.save(tmp_path / "a", model, base_tokenizer, card="", penwright={})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "a", dtype=dtype)
    theirs.save_pretrained(tmp_path / "b", max_shard_size="100KB")
    transformers.AutoTokenizer.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    assert (tmp_path / "b" / "model.safetensors.index.json").is_file()
    opened = weights.open(tmp_path / "b")
    for name, tensor in opened.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].to(dtype))
    assert opened.tokenizer.hash == base_tokenizer.hash


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_model(saved: tuple[Path, GPT2], legacy: bool) -> None:
    folder, model = saved
    (folder / "model.safetensors").unlink()
    state = {name.removeprefix("transformer."): t for name, t in model.state_dict().items()}
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    opened = weights.open(folder, dtype=torch.bfloat16)
    for name, tensor in opened.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].bfloat16())


def test_gpt2s_tokenizer_is_taken_where_a_model_of_its_vocabulary_came_without(
    tmp_path: Path,
) -> None:
    config = tiny_config(vocab_size=50257, n_embd=2, n_layer=1, n_positions=4, bos_token_id=50256)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config.to_dict()))
    theirs.save_pretrained(tmp_path)
    assert weights.open(tmp_path).tokenizer.eot_id == 50256
    other = tmp_path / "other"
    transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**tiny_config().to_dict())
    ).save_pretrained(other)
    with pytest.raises(ModelError, match="has no tokenizer"):
        weights.open(other)


def test_shards_and_types_on_the_way_out(saved: tuple[Path, GPT2], tmp_path: Path) -> None:
    _, model = saved
    tensors = dict(model.state_dict())
    entries = {name: stored.of_tensor(tensor) for name, tensor in tensors.items()}
    huggingface.write_tensors(tmp_path, entries, torch.float16, 20_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(tensors)
    assert len(list(tmp_path.glob("model-0*-of-0*.safetensors"))) > 1
    for name, tensor in huggingface.read_tensors(tmp_path).items():
        assert torch.equal(tensor.read(), tensors[name].half())


def test_base_opens_and_knows_english() -> None:
    opened = weights.open("base")
    assert opened.model.n_parameters == 6_967_296
    assert opened.model.embed_tokens.weight.dtype == torch.bfloat16
    sentence = "It was a fine morning, and she went down to the garden with her mother."
    ids = torch.tensor([[0, *opened.tokenizer.encode(sentence)]])
    scores = logits(opened.model.float(), ids)[0, :-1]
    loss = torch.nn.functional.cross_entropy(scores, ids[0, 1:])
    assert loss < 4


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "config.json is damaged"),
        ("[]", "holds no JSON object"),
        ('{"model_type": "llama"}', "config.json: This model is of type 'llama'"),
        ('{"n_layer": 1000000000}', "config.json: .*n_layer"),
        ('{"n_embd": "wide"}', "config.json: .*n_embd"),
    ],
)
def test_a_damaged_config(saved: tuple[Path, GPT2], content: str, says: str) -> None:
    folder, _ = saved
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=says):
        weights.open(folder)


def test_the_card_says_what_it_is_made_of() -> None:
    card = weights.model_card(
        "pirates",
        base_model="gpt2",
        data=["a|b.txt"],
        documents=3,
        tokens=40_000,
        settings={"learning_rate": 1e-4},
        perplexity_before=51.25,
        perplexity_after=20.5,
    )
    for part in ('base_model: "gpt2"', "a|b.txt", "40,000 tokens", "0.0001", "51.25", "20.50"):
        assert part in card
    assert "machine-written" in card
    assert "base_model:" not in weights.model_card("x", base_model="base")


def change(path: Path, changes: dict[str, object]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes))


def test_a_special_token_without_an_id_is_named(saved: tuple[Path, GPT2]) -> None:
    folder, _ = saved
    before = weights.open(folder)
    assert before.notes == ()
    change(folder / "tokenizer_config.json", {"pad_token": "[PAD]"})
    opened = weights.open(folder)
    assert [note.partition(".")[0] for note in opened.notes] == ["Ignored: [PAD]"]
    assert opened.tokenizer.encode("a[PAD]") == before.tokenizer.encode("a[PAD]")


@pytest.mark.parametrize("in_template", [True, False])
@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (END_OF_TEXT, None, None),
        (END_OF_TEXT, END_OF_TEXT, END_OF_TEXT),
        ("a", None, "a"),
        ("a", "b", "a, b"),
    ],
)
def test_tokens_that_are_not_put_around_prompts_are_named(
    saved: tuple[Path, GPT2], before: str, after: str | None, named: str | None, in_template: bool
) -> None:
    folder, _ = saved
    if in_template:
        first, last = ({"SpecialToken": {"id": text, "type_id": 0}} for text in (before, after))
        items = [first, {"Sequence": {"id": "A", "type_id": 0}}, *([last] if after else [])]
        template = {"type": "TemplateProcessing", "single": items}
        both = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, template]}
        change(folder / "tokenizer.json", {"post_processor": both})
    else:
        flags = {"add_bos_token": True, "add_eos_token": after is not None}
        tokens = {"bos_token": before, "eos_token": after or END_OF_TEXT}
        change(folder / "tokenizer_config.json", flags | tokens)
    notes = " ".join(weights.open(folder).notes)
    assert (f"Not added to prompts: {named}." in notes) if named else not notes

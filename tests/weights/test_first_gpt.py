"""The first GPT: its folder, its tokenizer, and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, trainers

pytest.importorskip("transformers", reason="needs transformers")

import transformers

from penwright import weights
from penwright.errors import ModelError, TokenizerError
from penwright.model import GPT2Config
from penwright.weights.exporting import FORMATS
from penwright.weights.huggingface import FirstGPTTokenizer

from .models import logits, random_model, some_tokens

TEXT = ["The cat sat on the mat, and the other cat sat on that cat. Élan! naïve", "won't 1066"]


@pytest.fixture(scope="session")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> FirstGPTTokenizer:
    """A small tokenizer of GPT's kind, by way of vocab.json and merges.txt."""
    engine = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    engine.normalizer = normalizers.BertNormalizer(lowercase=True)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=90,
        special_tokens=["<unk>"],
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz.,!?'\"0123456789"),
    )
    engine.train_from_iterator(TEXT, trainer)
    folder = tmp_path_factory.mktemp("gpt")
    engine.model.save(str(folder))
    return FirstGPTTokenizer.from_folder(folder)


def theirs(gpt: FirstGPTTokenizer) -> transformers.OpenAIGPTTokenizer:
    return transformers.OpenAIGPTTokenizer(
        vocab=dict(gpt.vocabulary.ids), merges=list(gpt.vocabulary.merges)
    )


@settings(deadline=None)
@given(text=st.text(alphabet=st.sampled_from(" \n\tabcdeTHÉïß.,!'\"12中🙂"), max_size=40))
def test_ids_equal_transformers(gpt: FirstGPTTokenizer, text: str) -> None:
    assert gpt.encode(text) == theirs(gpt)(text)["input_ids"]


def test_decodes_to_words(gpt: FirstGPTTokenizer) -> None:
    ids = gpt.encode("The CAT sat, won't")
    assert gpt.decode(ids) == "the cat sat , won ' t "
    assert sum(gpt.token_sizes[ids]) == len(gpt.decode(ids))
    with pytest.raises(TokenizerError, match="has no marker"):
        gpt.encode("x", markers=["<sep>"])


def config_of(gpt: FirstGPTTokenizer) -> GPT2Config:
    return GPT2Config(
        model_type="openai-gpt",
        vocab_size=gpt.vocab_size,
        n_positions=32,
        n_embd=16,
        n_layer=2,
        n_head=2,
    )


def test_a_folder_there_and_back(gpt: FirstGPTTokenizer, tmp_path: Path) -> None:
    model = random_model(config_of(gpt))
    weights.save(tmp_path, model, gpt, card="", penwright={})
    opened = weights.open(tmp_path)
    assert opened.tokenizer.hash == gpt.hash
    tokens_BT = some_tokens(model.config)
    assert torch.equal(logits(opened.model, tokens_BT), logits(model, tokens_BT))
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.allclose(other(tokens_BT).logits, logits(model, tokens_BT), atol=1e-4)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer(TEXT[0])["input_ids"] == gpt.encode(TEXT[0])
    other.save_pretrained(tmp_path / "back")
    tokenizer.save_pretrained(tmp_path / "back")
    again = weights.open(tmp_path / "back")
    assert again.tokenizer.encode(TEXT[0]) == gpt.encode(TEXT[0])
    assert torch.equal(logits(again.model, tokens_BT), logits(model, tokens_BT))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_the_way_out(gpt: FirstGPTTokenizer, tmp_path: Path) -> None:
    weights.save(tmp_path / "gpt", random_model(config_of(gpt)), gpt, card="", penwright={})
    for to in ("huggingface", "ctranslate2"):
        if FORMATS[to].runtime.is_installed:
            made = weights.export(tmp_path / "gpt", to, tmp_path / to, dtype="f32", check=True)
            assert made.checked is not None
            assert made.checked.largest < 1e-4
    pytest.importorskip("gguf")
    with pytest.raises(ModelError, match="not the first GPT"):
        weights.export(tmp_path / "gpt", "gguf", tmp_path / "g")

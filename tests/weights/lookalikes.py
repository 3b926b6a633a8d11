"""Folders of the kinds that people share, written by transformers and PEFT."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers

pytest.importorskip("peft", reason="needs peft")
pytest.importorskip("transformers", reason="needs transformers")

import peft
import transformers
from transformers import AddedToken

from penwright.tokens import Tokenizer

PROMPTS = ("Once upon a time", " two  spaces\n\nand café 🙂", "it's 1999", "")
END = "<|endoftext|>"


@dataclass
class Kind:
    """A folder to open, the models of transformers it stands for, and prompts for it."""

    folder: Path
    model: Any = None
    prompts: tuple[str, ...] = PROMPTS
    notes: str = ""
    settings: Path = Path("generation_config.json")
    """The file in which the folder says what tokens end a text."""


class Maker:
    """Writes folders with transformers: a tiny model, and the tokenizer of `base`."""

    def __init__(self, root: Path, base: Tokenizer) -> None:
        self.root, self.source = root, root / "source"
        base.save(self.source)
        self.size = base.vocab_size

    def tokenizer(self, **options: Any) -> Any:
        return transformers.AutoTokenizer.from_pretrained(self.source, **options)

    def model(self, kind: str = "GPT2LMHeadModel", **changes: Any) -> Any:
        torch.manual_seed(5)
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
        ends = {"eos_token_id": 0, "bos_token_id": 0}
        config = transformers.GPT2Config(
            **{**shape, **ends, "vocab_size": self.size, "initializer_range": 0.3, **changes}
        )
        return getattr(transformers, kind)(config).eval()

    def folder(self, model: Any, tokenizer: Any = None, **options: Any) -> Path:
        folder = self.root / "model"
        model.save_pretrained(folder, **options)
        (tokenizer or self.tokenizer()).save_pretrained(folder)
        return folder


def special_tokens(make: Maker) -> Kind:
    tokenizer = make.tokenizer()
    tokenizer.add_special_tokens(
        {
            "pad_token": "<|pad|>",
            "additional_special_tokens": ["<|startoftext|>", "<speaker1>", "<speaker2>"],
        }
    )
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True), AddedToken("cat", single_word=True)])
    prompts = (
        "<|startoftext|>Hello <speaker1> hi<speaker2>",
        f"Hello!{END}How are you?{END}",
        "a  <mask> b cat cats <|pad|><|other|>",
    )
    model = make.model()
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return Kind(make.folder(model, tokenizer), prompts=(*PROMPTS, *prompts))


def own_end_token(make: Maker) -> Kind:
    tokenizer = make.tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<|endofstory|>"})
    model = make.model(eos_token_id=make.size)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return Kind(make.folder(model, tokenizer), prompts=(*PROMPTS, "a<|endofstory|>b"))


def padded_vocabulary(make: Maker) -> Kind:
    model = make.model(vocab_size=make.size + 47)
    model.transformer.wte.weight.data[make.size :] = 0
    return Kind(make.folder(model))


def prefix_space(make: Maker) -> Kind:
    files = [str(make.source / name) for name in ("vocab.json", "merges.txt")]
    tokenizer = transformers.GPT2Tokenizer(*files, add_prefix_space=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<sep>"]})
    model = make.model()
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    prompts = ("a<sep>b<sep> c", "\nx")
    return Kind(make.folder(model, tokenizer), prompts=(*PROMPTS, *prompts))


def double_heads(make: Maker) -> Kind:
    folder = make.folder(make.model("GPT2DoubleHeadsModel"))
    return Kind(folder, notes="multiple_choice_head")


def value_head(make: Maker) -> Kind:
    model = make.model()
    head = {"v_head.summary.weight": torch.ones(1, 32), "v_head.summary.bias": torch.ones(1)}
    state = {**model.state_dict(), **head}
    del state["lm_head.weight"]
    return Kind(make.folder(model, state_dict=state), model, notes="v_head.summary.weight")


def classifier(make: Maker) -> Kind:
    folder = make.folder(make.model("GPT2ForSequenceClassification", num_labels=3))
    return Kind(folder, notes="the head of a classifier")


def pickled(make: Maker) -> Kind:
    model = make.model()
    folder = make.folder(model)
    (folder / "model.safetensors").unlink()
    state = {
        **model.state_dict(),
        "transformer.h.0.attn.bias": torch.ones(1, 1, 64, 64, dtype=torch.uint8),
        "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
    }
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return Kind(folder, model)


def bare_model(make: Maker) -> Kind:
    return Kind(make.folder(make.model("GPT2Model")))


def half_precision(make: Maker) -> Kind:
    return Kind(make.folder(make.model().half()))


def untied_head(make: Maker) -> Kind:
    return Kind(make.folder(make.model(tie_word_embeddings=False)))


def slow_tokenizer_files(make: Maker) -> Kind:
    folder = make.folder(make.model(eos_token_id=make.size - 1, vocab_size=make.size + 2))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_bytes((make.source / name).read_bytes())
    (folder / "added_tokens.json").write_text(json.dumps({"<a>": make.size, "<b>": make.size + 1}))
    settings = {"tokenizer_class": "GPT2Tokenizer", "eos_token": END, "bos_token": END}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "unk_token": END}))
    return Kind(folder, prompts=(*PROMPTS, "x <a><b> y"))


def adapter(make: Maker) -> Kind:
    """An adapter with added tokens, whose rows it holds."""
    base = make.folder(make.model())
    tokenizer = make.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<user>", "<bot>"]})
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return adapt(make, model, tokenizer, prompts=(*PROMPTS, "<user>hi<bot>"))


def adapter_of_rows(make: Maker) -> Kind:
    """An adapter that trains the rows of single tokens."""
    model = transformers.AutoModelForCausalLM.from_pretrained(make.folder(make.model()))
    return adapt(make, model, make.tokenizer(), trainable_token_indices=[5, 300, 17])


def adapter_of_modules(make: Maker) -> Kind:
    """An adapter that trains the embedding and the head whole."""
    base = make.folder(make.model(tie_word_embeddings=False))
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    return adapt(make, model, make.tokenizer(), modules_to_save=["wte", "lm_head"])


def adapt(make: Maker, model: Any, tokenizer: Any, prompts: Any = PROMPTS, **options: Any) -> Kind:
    shape: dict[str, Any] = {"r": 3, "target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True}
    config = peft.LoraConfig(task_type="CAUSAL_LM", **shape, **options)
    model = peft.get_peft_model(model, config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad or "wte" in name:
                parameter.add_(torch.randn(parameter.shape) * 0.1)
    folder = make.root / "adapter"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    theirs = peft.AutoPeftModelForCausalLM.from_pretrained(folder).eval()
    return Kind(folder, theirs, prompts, settings=Path("../model/generation_config.json"))


def chinese(make: Maker) -> Kind:
    """GPT-2 over BERT's characters and words, by way of vocab.txt."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"这是很久之前的事", "one", "##s", "upon", "a"]
    model = make.model(vocab_size=len(words), eos_token_id=3, bos_token_id=2, pad_token_id=0)
    folder = make.root / "model"
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return Kind(folder, prompts=("这是很久之前的事", "Ones upon a  time [SEP] 是"))


def metaspace(make: Maker) -> Kind:
    """A tokenizer of SentencePiece's kind, as Japanese GPT-2s have it."""
    pieces = "<unk> <s> </s> ▁ ▁a ▁time ▁once on c e u p n t i m".split()  # noqa: SIM905
    engine = tokenizers.Tokenizer(
        models.Unigram([(piece, -float(n)) for n, piece in enumerate(pieces)], unk_id=0)
    )
    engine.pre_tokenizer = pre_tokenizers.Metaspace()
    engine.decoder = decoders.Metaspace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=engine, eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )
    model = make.model(vocab_size=len(pieces), eos_token_id=2, bos_token_id=1)
    return Kind(make.folder(model, tokenizer), prompts=("once a time", "on</s>time"))


def old_context_name(make: Maker) -> Kind:
    model = make.model()
    folder = make.folder(model)
    path = folder / "config.json"
    values = json.loads(path.read_text())
    values["n_ctx"] = values.pop("n_positions")
    path.write_text(json.dumps(values))
    return Kind(folder, model)


def wrapped(make: Maker) -> Kind:
    model = make.model()
    folder = make.folder(model)
    (folder / "model.safetensors").unlink()
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save(state, folder / "pytorch_model.bin")
    return Kind(folder, model, notes="begin with 'module.'")


def trainer_output(make: Maker) -> Kind:
    """A folder in which transformers' Trainer left checkpoints only, the tokenizer above them."""
    folder = make.folder(make.model())
    for name in ("checkpoint-500", "checkpoint-1000"):
        make.model(n_layer=1 if name.endswith("-500") else 2).save_pretrained(folder / name)
    for file in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / file).unlink()
    newest = transformers.AutoModelForCausalLM.from_pretrained(folder / "checkpoint-1000")
    said = "checkpoint-1000 is used; to use checkpoint-500, name it"
    settings = Path("checkpoint-1000/generation_config.json")
    return Kind(folder, newest.eval(), notes=said, settings=settings)


KINDS: tuple[Callable[[Maker], Kind], ...] = (
    special_tokens, own_end_token, padded_vocabulary, prefix_space, double_heads, value_head,
    classifier, pickled, bare_model, half_precision, untied_head, slow_tokenizer_files, adapter,
    adapter_of_rows, adapter_of_modules, chinese, metaspace, old_context_name, wrapped,
    trainer_output,
)  # fmt: skip

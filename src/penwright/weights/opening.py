"""Open a model by its name or path, or the default model: weights, config and tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from penwright import runs
from penwright.errors import ModelError, UsageError
from penwright.model.config import SIZES, GPT2Config
from penwright.model.gpt2 import GPT2
from penwright.tokens.bpe import Tokenizer
from penwright.weights import (
    hub,
    huggingface,
    keras_h5,
    names,
    openai_tf,
    peft,
    pytorch_file,
    stored,
)
from penwright.weights.names import Place
from penwright.weights.stored import Stored, of_tensor

DEFAULT_SIZE = "124M"
HUB_SECONDS = 3.0
"""The longest wait for the Hub to answer before the bundled model is used."""


@dataclass(frozen=True)
class OpenedModel:
    """A model in memory, with its tokenizer.

    `name` is the name that it was opened by, `path` the folder it came from, and `format` the
    content of its penwright.json: `{"prompt_format": "{prompt}\\n\\n", "stop": [...], ...}` or
    nothing. `notes` are sentences for the user about parts of the files left out or guessed.
    """

    model: GPT2
    tokenizer: Tokenizer
    name: str
    path: Path
    format: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelParts:
    """The parts of a model on disk, its tensors and tokenizer not read yet.

    `notes` gets a sentence for each part that is left out or guessed when they are read.
    """

    path: Path
    config: GPT2Config
    tensors: Callable[[], dict[str, Stored]]
    tokenizer: Callable[[], Tokenizer]
    format: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def choose_model(name: str | Path | None, warn: Callable[[str], None]) -> str | Path:
    """Return `name`, or the default model's name, and then tell `warn` the name and the reason.

    The default is GPT-2 124M if it is on this machine or can be downloaded, else `base`.
    """
    if name is not None and str(name):
        return name
    repository = names.SIZES[DEFAULT_SIZE]
    other = "--model base uses the small bundled model instead"
    if hub.cached(repository):
        warn(f"Model: GPT-2 {DEFAULT_SIZE}, which is on this machine; {other}.")
        return DEFAULT_SIZE
    found = hub.look_up(repository, HUB_SECONDS)
    if isinstance(found, hub.Answer):
        size = f" ({found.bytes / 1e6:,.0f} MB, once)" if found.bytes else ""
        warn(f"Model: GPT-2 {DEFAULT_SIZE}, from the Hugging Face Hub{size}; {other}.")
        return DEFAULT_SIZE
    warn(
        f"Model: base, the small bundled one, since GPT-2 {DEFAULT_SIZE} is not on this machine "
        f"and {found}. When you are online, --model {DEFAULT_SIZE} downloads and uses GPT-2."
    )
    return "base"


def read_shape(
    name: str | Path, warn: Callable[[str], None] = lambda _: None
) -> tuple[GPT2Config, Callable[[], Tokenizer]]:
    """Return a model's config and a function that reads its tokenizer, without reading weights.

    `warn` gets a sentence for each part of the files that is left out or guessed. OpenAI's sizes
    need not be on this machine: their shapes and vocabulary are bundled. Raises ModelError when
    there is no such model.
    """
    place = names.resolve(name)
    repository = place.repository.removeprefix("openai-community/")
    size = next((size for size, known in names.SIZES.items() if known == repository), None)
    if place.kind == "hub" and size is not None and not hub.cached(place.repository):
        return SIZES[size], Tokenizer.gpt2
    parts = read_place(place)

    def read_tokenizer() -> Tokenizer:
        tokenizer = parts.tokenizer()
        for note in parts.notes:
            warn(note)
        return tokenizer

    return parts.config, read_tokenizer


def open(
    name: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    runs_dir: str | Path = runs.RUNS,
) -> OpenedModel:
    """Open the model that `name` refers to: a size, a Hub name, a folder, a run, a file, or base.

    The weights keep the type they are stored in unless `dtype` is given. Raises ModelError when
    there is no such model or it is damaged.
    """
    return open_place(find_place(name, runs_dir), str(name), dtype=dtype, device=device)


def find_place(name: str | Path, runs_dir: str | Path = runs.RUNS) -> Place:
    """Return where the model that `name` refers to is on disk, downloaded if it has to be."""
    return _on_disk(names.resolve(name, runs_dir))


def open_place(
    place: Place,
    name: str,
    *,
    dtype: torch.dtype | None,
    device: str | torch.device,
) -> OpenedModel:
    """Open the model at a place that `names.resolve` found."""
    place = _on_disk(place)
    if place.kind == "adapter":
        return _open_adapter(place, name, dtype, device)
    parts = read_place(place)
    model = stored.build(
        parts.config,
        parts.tensors(),
        str(parts.path),
        dtype=dtype,
        device=device,
        notes=parts.notes,
    )
    tokenizer = parts.tokenizer()
    return OpenedModel(model, tokenizer, name, parts.path, parts.format, tuple(parts.notes))


def read_place(place: Place) -> ModelParts:
    """Return the parts of the model at a place; raises ModelError."""
    place = _on_disk(place)
    match place.kind:
        case "openai_tf":
            prefix = openai_tf.find_prefix(place.path)
            parts = _with_tokenizer(prefix, openai_tf.read_config(prefix), openai_tf.read_tensors)
        case "keras":
            config = keras_h5.read_config(place.path)
            parts = _with_tokenizer(place.path, config, keras_h5.read_tensors)
        case "adapter":
            return _merged_parts(_open_adapter(place, str(place.path), None, "cpu"))
        case "nanogpt":
            parts = _read_nanogpt(pytorch_file.find_nanogpt(place.path))
        case _:
            parts = _read_folder(place.path)
    parts.notes[:0] = place.notes
    return parts


def open_tensors(place: Place) -> tuple[ModelParts, Callable[[str], torch.Tensor]]:
    """Return the parts of the model at a place, and a function that reads a tensor as float32.

    Its names are those of GPT2's `state_dict`. Nothing is kept in memory. Raises ModelError as
    `open` does.
    """
    parts = read_place(place)
    tensors, _ = stored.checked(parts.config, parts.tensors(), str(parts.path), parts.notes)
    return parts, lambda name: tensors[name].read(torch.float32)


def base_of(adapter: peft.Adapter, folder: Path) -> str | Path:
    """Return the name of an adapter's base model; raises ModelError when it has none."""
    if not adapter.base_model:
        raise ModelError(
            f"{folder} does not name the model that it is an adapter of.",
            fix="Merge it into that model: penwright merge MODEL ADAPTER -o DIR",
        )
    beside = folder / adapter.base_model
    return beside if names.kind_of(beside) else adapter.base_model


def apply_adapter(
    opened: OpenedModel, adapter: peft.Adapter, folder: Path, notes: Sequence[str] = ()
) -> OpenedModel:
    """Return a model with an adapter merged into it, and with the adapter's tokenizer if any.

    The embedding is resized to the number of rows that the adapter has trained.
    """
    said = list(notes)
    model = opened.model
    if adapter.rows is not None and adapter.rows != model.config.vocab_size:
        model = resize(model, adapter.rows)
    base = opened.tokenizer, opened.format
    tokenizer, form = _tokenizer_of_adapter(folder, model.config, *base, said)
    adapter.merge(model)
    return replace(
        opened,
        model=model,
        tokenizer=tokenizer,
        path=folder,
        format=form,
        notes=(*opened.notes, *said),
    )


def _tokenizer_of_adapter(
    folder: Path,
    config: GPT2Config,
    tokenizer: Tokenizer,
    form: dict[str, Any],
    notes: list[str],
) -> tuple[Tokenizer, dict[str, Any]]:
    """Return the adapter's own tokenizer and format where its folder has them, else the base's."""
    form = huggingface.read_format(folder) or form
    if huggingface.has_tokenizer(folder):
        ends = [id_ for id_ in tokenizer.end_ids if id_ < config.vocab_size]
        own = huggingface.read_tokenizer(folder, config, form, notes)
        tokenizer = own.ending_at((*own.end_ids, *ends))
    return tokenizer, form


@dataclass(frozen=True)
class Beside:
    """An adapter that needs no weights of its own: its factors stay beside its base model.

    `factors` are A [R, I] and B [O, R] by the name of their matrix, and `parts` is what the
    adapter's model has besides weights.
    """

    base: str | Path
    parts: ModelParts
    factors: Mapping[str, tuple[torch.Tensor, torch.Tensor]]


def find_beside(place: Place) -> Beside | None:
    """Return an adapter to use beside its base; None for other models, and if it must be merged.

    Raises ModelError as `open` does.
    """
    if place.kind != "adapter":
        return None
    adapter = peft.read_adapter(place.path)
    factors = adapter.factors
    if factors is None:
        return None
    base = base_of(adapter, place.path)
    parts = read_place(_base_place(base, place.path))
    adapter.check(stored.empty(parts.config))
    notes = [*place.notes, *parts.notes]
    tokenizer, form = _tokenizer_of_adapter(
        place.path, parts.config, parts.tokenizer(), parts.format, notes
    )
    own = replace(parts, path=place.path, tokenizer=lambda: tokenizer, format=form, notes=notes)
    return Beside(base, own, factors)


def with_tokens(opened: OpenedModel, tokens: Sequence[str]) -> OpenedModel:
    """Return the model with these tokens, each read as one id everywhere in a text.

    Known tokens stay unchanged; the row of a new token is the mean of the old rows. Raises
    UsageError for an empty or blank token.
    """
    if not tokens:
        return opened
    old = opened.tokenizer
    if opened.model.config.first_gpt:
        raise UsageError("Tokens cannot be added to the first GPT.")
    for token in tokens:
        if not token or token.isspace():
            raise UsageError(f"{token!r} cannot be a token.", fix="Write a word, such as '<sep>'.")
    lacking = [token for token in tokens if token not in old.vocabulary.markers]
    tokenizer = old.with_added(tokens).reading(tokens)
    ids = [tokenizer.marker_id(token) for token in lacking]
    chosen = dict.fromkeys((*opened.format.get("markers", ()), *tokens))
    form = {**opened.format, "markers": list(chosen)}
    return replace(opened, model=grow(opened.model, ids), tokenizer=tokenizer, format=form)


@torch.no_grad()
def grow(model: GPT2, ids: Sequence[int]) -> GPT2:
    """Return a model whose embedding has new rows for `ids`, each the mean of the old rows.

    An untied output layer grows in the same way.
    """
    if not ids:
        return model
    old = model.state_dict()
    grown = resize(model, max(model.config.vocab_size, max(ids) + 1))
    for name, tensor in grown.state_dict().items():
        if name in _row_names(model):
            tensor[list(ids)] = old[name].float().mean(0).to(tensor.dtype)
    return grown


@torch.no_grad()
def resize(model: GPT2, rows: int) -> GPT2:
    """Return a model with `rows` rows in its embedding; new ones are zero."""
    resized = GPT2(replace(model.config, vocab_size=rows))
    resized = resized.to(model.embed_tokens.weight.device, model.embed_tokens.weight.dtype)
    old = model.state_dict()
    for name, tensor in resized.state_dict().items():
        if name in _row_names(model):
            kept = min(rows, model.config.vocab_size)
            tensor.zero_()
            tensor[:kept] = old[name][:kept]
        else:
            tensor.copy_(old[name])
    return resized.train(model.training)


def _row_names(model: GPT2) -> set[str]:
    """Return the names of the tensors with a row for each token."""
    shared = (model.embed_tokens.weight, model.head_weight_VC)
    return {name for name, tensor in model.named_parameters() if any(tensor is t for t in shared)}


def _on_disk(place: Place) -> Place:
    """Return a place's folder on disk: downloaded from the Hub, or a run's checkpoint."""
    if place.kind == "hub":
        folder = hub.fetch(place.repository)
        return replace(place, kind=names.kind_of(folder) or "huggingface", path=folder)
    if place.kind == "run":
        return replace(place, kind="huggingface", path=names.checkpoint_of(place.path))
    return place


def _open_adapter(
    place: Place, name: str, dtype: torch.dtype | None, device: str | torch.device
) -> OpenedModel:
    adapter = peft.read_adapter(place.path)
    base = _base_place(base_of(adapter, place.path), place.path)
    opened = open_place(base, name, dtype=dtype, device=device)
    return apply_adapter(opened, adapter, place.path, place.notes)


def _base_place(base: str | Path, adapter: Path) -> Place:
    place = names.resolve(base)
    if place.kind == "adapter":
        raise ModelError(f"{adapter} is an adapter of an adapter.", fix="Merge that one first.")
    return place


def _merged_parts(opened: OpenedModel) -> ModelParts:
    """Return the parts of a model in memory, such as an adapter merged into its base."""
    tensors = {name: of_tensor(t) for name, t in opened.model.state_dict().items()}
    return ModelParts(
        opened.path,
        opened.model.config,
        lambda: tensors,
        lambda: opened.tokenizer,
        opened.format,
        list(opened.notes),
    )


def _read_folder(folder: Path) -> ModelParts:
    config = huggingface.read_config(folder / "config.json")
    form = huggingface.read_format(folder)
    notes: list[str] = []
    tokenizer = partial(huggingface.read_tokenizer, folder, config, form, notes)
    tensors = partial(huggingface.read_tensors, folder)
    return ModelParts(folder, config, tensors, tokenizer, form, notes)


def _with_tokenizer(
    path: Path, config: GPT2Config, read_tensors: Callable[[Path], dict[str, Stored]]
) -> ModelParts:
    """Return the parts of a model in a file, with the tokenizer in the same folder."""
    notes: list[str] = []
    tokenizer = partial(huggingface.read_tokenizer, path.parent, config, {}, notes)
    return ModelParts(path, config, partial(read_tensors, path), tokenizer, notes=notes)


def _read_nanogpt(path: Path) -> ModelParts:
    config, tensors = pytorch_file.read_nanogpt(path)
    said = f"{path.name} names no tokenizer: GPT-2's is used, as nanoGPT does."
    return ModelParts(path, config, lambda: tensors, Tokenizer.gpt2, notes=[said])

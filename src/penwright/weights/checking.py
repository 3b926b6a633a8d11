"""Compare a written model, in its own runtime, with ours on the same prompts."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch

from penwright.errors import MissingExtraError, ModelError
from penwright.model.gpt2 import GPT2
from penwright.tokens.bpe import Tokenizer

PROMPTS = (
    "The last train had left an hour ago, and nobody had told her.",
    "1. Wash the beans. 2. Boil them, slowly, until",
    '"Well," said the captain, "that is not what I ordered!"\n\nHe',
)
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Checked:
    """The distance between a runtime's log-probabilities and ours, in nats."""

    runtime: str
    version: str
    prompts: int
    tokens: int
    largest: float
    mean: float

    def __str__(self) -> str:
        return (
            f"{self.runtime} {self.version}: the largest difference in log-probabilities is "
            f"{self.largest:.2g}, the mean {self.mean:.2g}, over {self.tokens} tokens"
        )


@dataclass(frozen=True)
class Runtime:
    """A program that runs what was written: its package, and the extra that brings it.

    `run` gives the logits [T, V] of each row of tokens: it gets the package, the path of what was
    written, the rows, and our model.
    """

    package: str
    extra: str
    run: Callable[[ModuleType, Path, list[list[int]], GPT2], Iterator[Logits]]

    @property
    def is_installed(self) -> bool:
        """Whether the package is there."""
        return importlib.util.find_spec(self.package) is not None

    def load(self) -> ModuleType:
        """Import the package; raises MissingExtraError."""
        try:
            return importlib.import_module(self.package)
        except ImportError:
            raise MissingExtraError(f"Checking the export in {self.package}", self.extra) from None


def check(runtime: Runtime, path: Path, model: GPT2, tokenizer: Tokenizer) -> Checked:
    """Compare what was written at `path` for `runtime` with `model`, in float32.

    Raises MissingExtraError where the runtime is not installed, ModelError when the runtime
    cannot open what was written.
    """
    module = runtime.load()
    rows = prompt_ids(tokenizer, model.config.n_positions)
    try:
        theirs = list(runtime.run(module, path, rows, model))
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        raise ModelError(f"{runtime.package} cannot run {path}: {error}") from error
    largest, total, count = 0.0, 0.0, 0
    for row, their_logits in zip(rows, theirs, strict=True):
        difference = np.abs(_log_softmax(their_logits) - _log_softmax(_our_logits(model, row)))
        if not np.isfinite(difference).all():
            raise ModelError(f"{runtime.package} computes no numbers from {path}.")
        largest = max(largest, float(difference.max()))
        total += float(difference.mean()) * len(row)
        count += len(row)
    version = str(getattr(module, "__version__", ""))
    return Checked(runtime.package, version, len(rows), count, largest, total / count)


def prompt_ids(tokenizer: Tokenizer, context: int) -> list[list[int]]:
    """Return the prompts as the model reads them: the end-of-text token, then theirs."""
    return [tokenizer.encode_prompt(prompt)[:context] for prompt in PROMPTS]


def _log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    wide = logits.astype(np.float64)
    wide -= wide.max(-1, keepdims=True)
    scores: npt.NDArray[np.float64] = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    return scores


def _our_logits(model: GPT2, row: Sequence[int]) -> Logits:
    with torch.no_grad():
        hidden = model(torch.tensor([list(row)]))
        logits: Logits = model.logits(hidden)[0].float().numpy()
    return logits


def _run_transformers(
    runtime: ModuleType, path: Path, rows: list[list[int]], _: GPT2
) -> Iterator[Logits]:
    theirs = runtime.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        for row in rows:
            yield theirs(torch.tensor([row])).logits[0].float().numpy()


def _run_peft(runtime: ModuleType, path: Path, rows: list[list[int]], _: GPT2) -> Iterator[Logits]:
    theirs = runtime.AutoPeftModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        for row in rows:
            yield theirs(torch.tensor([row])).logits[0].float().numpy()


def _run_ctranslate2(
    runtime: ModuleType, path: Path, rows: list[list[int]], _: GPT2
) -> Iterator[Logits]:
    # On a CPU it computes 16-bit weights in float32, and would warn of it at every model.
    runtime.set_log_level(logging.ERROR)
    generator = runtime.Generator(str(path), device="cpu", compute_type="default")
    for row in rows:
        output = generator.forward_batch(
            runtime.StorageView.from_array(np.array([row], dtype=np.int32)),
            runtime.StorageView.from_array(np.array([len(row)], dtype=np.int32)),
        )
        yield np.array(output)[0]


def _run_llama_cpp(
    runtime: ModuleType, path: Path, rows: list[list[int]], model: GPT2
) -> Iterator[Logits]:
    file = path if path.is_file() else next(path.glob("*.gguf"))
    with contextlib.closing(
        runtime.Llama(
            str(file),
            n_ctx=model.config.n_positions,
            logits_all=True,
            verbose=False,
            n_gpu_layers=0,
            n_threads=torch.get_num_threads(),
            n_threads_batch=torch.get_num_threads(),
        )
    ) as theirs:
        for row in rows:
            theirs.reset()
            theirs.eval(row)
            yield np.array(theirs.scores[: len(row)], dtype=np.float32)


TRANSFORMERS = Runtime("transformers", "dev", _run_transformers)
LLAMA_CPP = Runtime("llama_cpp", "bench", _run_llama_cpp)
CTRANSLATE2 = Runtime("ctranslate2", "ctranslate2", _run_ctranslate2)
PEFT = Runtime("peft", "dev", _run_peft)

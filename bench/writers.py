"""Runtimes that write text with GPT-2, behind one function: prompts in, number of tokens out.

Each is opened from the same model folder and writes with temperature 0.8 and top-k 40 on all cores.
llama.cpp is used through its C functions, so that no Python of llama-cpp-python counts.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from penwright import native, sample, weights
from penwright.config import SamplingConfig

TEMPERATURE, TOP_K = 0.8, 40
THREADS = len(os.sched_getaffinity(0))
Prompts = Sequence[str]
Write = Callable[[Prompts, int], int]
"""(prompts, new tokens for each) -> number of tokens written."""


def open_ours(opened: weights.OpenedModel, kind: str) -> Write:
    """Open ours with weights of this type, or in torch."""
    source: object = opened.model
    if kind != "torch":
        library = native.load()
        assert library is not None, native.describe()
        source = native.PackedModel.of(opened.model, library, kind)

    def write(prompts: Prompts, new: int) -> int:
        sampling = SamplingConfig(
            max_new_tokens=new, temperature=TEMPERATURE, top_k=TOP_K, top_p=1.0
        )
        done = sample.generate(
            source, opened.tokenizer, prompts, 1, sampling, batch_size=len(prompts)
        )
        return sum(one.tokens for one in done)

    return write


def open_transformers(opened: weights.OpenedModel, folder: Path) -> Write:
    import transformers

    peer = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    end = opened.tokenizer.eot_id

    def write(prompts: Prompts, new: int) -> int:
        rows = [opened.tokenizer.encode_prompt(prompt) for prompt in prompts]
        longest = max(map(len, rows))
        ids_BT = torch.tensor([[end] * (longest - len(row)) + row for row in rows])
        mask_BT = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        out_BT = peer.generate(
            ids_BT,
            attention_mask=mask_BT,
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=True,
            temperature=TEMPERATURE,
            top_k=TOP_K,
            pad_token_id=end,
        )
        return (out_BT.shape[1] - longest) * len(rows)

    return write


def open_ctranslate2(opened: weights.OpenedModel, folder: Path, kind: str) -> Write:
    import ctranslate2

    exported = _export(folder, "ctranslate2", "f32")
    runtime = ctranslate2.Generator(
        str(exported), compute_type=kind, inter_threads=1, intra_threads=THREADS
    )
    from penwright.weights.ctranslate2 import token_spellings

    words = token_spellings(opened.tokenizer, opened.model.config.vocab_size)

    def write(prompts: Prompts, new: int) -> int:
        rows = [[words[id_] for id_ in opened.tokenizer.encode_prompt(p)] for p in prompts]
        done = runtime.generate_batch(
            rows,
            max_length=new,
            min_length=new,
            sampling_topk=TOP_K,
            sampling_temperature=TEMPERATURE,
            include_prompt_in_result=False,
            max_batch_size=len(rows),
        )
        return sum(len(one.sequences_ids[0]) for one in done)

    return write


def open_llama(opened: weights.OpenedModel, folder: Path, kind: str, rows: int) -> Write:
    """Open llama.cpp for up to `rows` texts at once."""
    import llama_cpp as lib

    lib.llama_backend_init()
    quiet = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(quiet, None)
    path = _export(folder, "gguf", kind)
    model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
    settings = lib.llama_context_default_params()
    settings.n_ctx = 256 * rows
    settings.n_batch = settings.n_ubatch = 512
    settings.n_seq_max = rows
    settings.n_threads = settings.n_threads_batch = THREADS
    settings.no_perf = True
    context = lib.llama_init_from_model(model, settings)
    assert context, "llama.cpp could not open the model"
    sampler = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    for part in (
        lib.llama_sampler_init_top_k(TOP_K),
        lib.llama_sampler_init_temp(TEMPERATURE),
        lib.llama_sampler_init_dist(1),
    ):
        lib.llama_sampler_chain_add(sampler, part)
    batch = lib.llama_batch_init(512, 0, 1)

    def decode(tokens: Sequence[tuple[int, int, int, bool]]) -> None:
        """Feed (token, place, row, whether its logits are wanted), at most 512."""
        batch.n_tokens = len(tokens)
        for i, (token, place, row, wanted) in enumerate(tokens):
            batch.token[i], batch.pos[i] = token, place
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, row
            batch.logits[i] = wanted
        assert lib.llama_decode(context, batch) == 0

    def write(prompts: Prompts, new: int, _kept: object = quiet) -> int:  # called as long as lib
        lib.llama_memory_clear(lib.llama_get_memory(context), True)
        texts = [opened.tokenizer.encode_prompt(prompt) for prompt in prompts]
        reading = [
            (token, place, row, False)
            for row, text in enumerate(texts)
            for place, token in enumerate(text[:-1])
        ]
        for begin in range(0, len(reading), 512):
            decode(reading[begin : begin + 512])
        places = [len(text) - 1 for text in texts]
        last = [text[-1] for text in texts]
        for step in range(new):
            decode([(last[row], places[row] + step, row, True) for row in range(len(texts))])
            last = [lib.llama_sampler_sample(sampler, context, row) for row in range(len(texts))]
        return new * len(texts)

    return write


def _export(folder: Path, to: str, dtype: str) -> Path:
    out = Path(tempfile.mkdtemp(dir=folder)) / "model"
    weights.export(folder, to, out, dtype=dtype)
    return next(out.glob("*.gguf")) if to == "gguf" else out

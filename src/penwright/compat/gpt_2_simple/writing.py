"""Write texts as gpt-2-simple did: printed, returned as a list, or into a file."""

from __future__ import annotations

import secrets
from pathlib import Path

from penwright.compat.gpt_2_simple.session import Session, load_writer, wanted_place
from penwright.config import GenerateConfig, SamplingConfig
from penwright.errors import UsageError
from penwright.files import write_text
from penwright.markers import END_OF_TEXT, START_OF_TEXT

DELIMITER = "=" * 20 + "\n"


def generate(
    sess: object,
    run_name: str = "run1",
    checkpoint_dir: str | Path = "checkpoint",
    model_name: str | None = None,
    model_dir: str | Path = "models",
    sample_dir: str | Path = "samples",  # noqa: ARG001 - it meant nothing in the old one either
    return_as_list: bool = False,
    truncate: str | None = None,
    destination_path: str | Path | None = None,
    sample_delim: str = DELIMITER,
    prefix: str | None = None,
    seed: int | None = None,
    nsamples: int = 1,
    batch_size: int | None = 1,
    length: int = 1023,
    temperature: float = 0.7,
    top_k: int = 0,
    top_p: float = 0.0,
    include_prefix: bool = True,
) -> list[str] | None:
    """Write `nsamples` texts with the session's model, or the one that the call names.

    A text begins with `prefix`, which `include_prefix=False` leaves out again, and has at most
    `length` tokens, the prefix counted in. It ends where the model ends it, or before `truncate`.
    `top_p` above 0 is taken instead of `top_k`; 0 is off for both. Without a seed every call
    writes something else. `batch_size` above 1 is how many are written at once; it changes no
    text. Texts are printed with `sample_delim` between them, unless they are returned or written
    to `destination_path`, which is replaced. Raises ModelError and UsageError.
    """
    place = wanted_place(sess, run_name, checkpoint_dir, model_name, model_dir)
    writer = sess.open(place) if isinstance(sess, Session) else load_writer(place)
    prefix = prefix or ""
    new_tokens = length - len(writer.tokenizer.encode(prefix))
    if new_tokens < 1:
        raise UsageError(
            f"length={length} leaves no room after a prefix of {length - new_tokens} tokens.",
            fix="Choose a larger length.",
        )
    sampling = SamplingConfig(
        max_new_tokens=new_tokens,
        temperature=temperature,
        top_k=0 if top_p > 0 else top_k,
        top_p=top_p if top_p > 0 else 1.0,
        stop=(truncate,) if truncate else (),
        seed=secrets.randbelow(1 << 31) if seed is None else seed,
    )
    config = GenerateConfig(
        prompt=(prefix,),
        n=nsamples,
        raw=True,
        sampling=sampling,
        batch_size=batch_size if batch_size and batch_size > 1 else None,
    )
    texts = []
    for sample in writer.generate_with(config):
        text = (prefix if include_prefix else "") + sample.text
        if sample.finish_reason == "end" and not truncate and text.startswith(START_OF_TEXT):
            text += END_OF_TEXT  # a document that is marked where it begins is marked where it ends
        texts.append(text.lstrip("\n"))
    _deliver(texts, destination_path, return_as_list, sample_delim if nsamples > 1 else "")
    return texts if return_as_list else None


def generate_to_file(
    sess: object,
    run_name: str = "run1",
    checkpoint_dir: str | Path = "checkpoint",
    model_name: str | None = None,
    model_dir: str | Path = "models",
    truncate: str | None = None,
    destination_path: str | Path = "gpt_2_gen_texts.txt",
    sample_delim: str = DELIMITER,
    prefix: str | None = None,
    seed: int | None = None,
    nsamples: int = 1,
    batch_size: int | None = 1,
    length: int = 1023,
    temperature: float = 0.7,
    top_k: int = 0,
    top_p: float = 0.0,
    include_prefix: bool = True,
) -> None:
    """Write texts into a file, each followed by `sample_delim`; see `generate`."""
    generate(
        sess,
        run_name=run_name,
        checkpoint_dir=checkpoint_dir,
        model_name=model_name,
        model_dir=model_dir,
        truncate=truncate,
        destination_path=destination_path,
        sample_delim=sample_delim,
        prefix=prefix,
        seed=seed,
        nsamples=nsamples,
        batch_size=batch_size,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        include_prefix=include_prefix,
    )


def _deliver(texts: list[str], path: str | Path | None, as_list: bool, delimiter: str) -> None:
    lines = "".join(f"{text}\n{delimiter}" for text in texts)
    if path:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, lines)
    elif not as_list:
        print(lines, end="")

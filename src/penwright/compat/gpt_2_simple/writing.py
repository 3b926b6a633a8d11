"""Sessions, which keep a loaded model between calls, and the texts that it writes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penwright.compat.gpt_2_simple.folders import find_model, find_run
from penwright.config import GenerateConfig, SamplingConfig
from penwright.document import END_OF_TEXT, START_OF_TEXT
from penwright.errors import UsageError
from penwright.verbs.provenance import write_labelled

if TYPE_CHECKING:
    from penwright.sample.engine import Sample
    from penwright.verbs.generate import Writer

DELIMITER = "=" * 20 + "\n"


@dataclass
class Session:
    """A stand-in for a TensorFlow session, which keeps the loaded model between calls.

    Functions accept any other object, or None, as well; then each call loads the model again.
    """

    place: Path | None = None
    _writer: Writer | None = field(default=None, repr=False)

    def open(self, place: Path) -> Writer:
        """Return the model at `place`, loaded once."""
        if self._writer is None or self.place != place:
            self._writer = load_writer(place)
            self.place = place
        return self._writer

    def forget(self, place: Path | None) -> None:
        """Drop the model; the session's next one is at `place`."""
        self._writer, self.place = None, place

    def close(self) -> None:
        """Drop the model."""
        self.forget(None)


def load_writer(place: Path) -> Writer:
    """Load the model at `place`."""
    from penwright.verbs.generate import load

    return load(place)


def start_tf_sess(threads: int = -1, server: object = None) -> Session:  # noqa: ARG001
    """Return a session; `threads` above 0 limits torch's threads, `server` is ignored."""
    if threads > 0:
        import torch

        torch.set_num_threads(threads)
    return Session()


def reset_session(sess: object, threads: int = -1, server: object = None) -> Session:
    """Return a new session, and drop the old one's model."""
    if isinstance(sess, Session):
        sess.close()
    return start_tf_sess(threads, server)


def get_available_gpus() -> list[str]:
    """Return the names of the GPUs, as TensorFlow writes them."""
    import torch

    return [f"/device:GPU:{number}" for number in range(torch.cuda.device_count())]


def load_gpt2(
    sess: object,
    checkpoint: str = "latest",
    run_name: str = "run1",
    checkpoint_dir: str | Path = "checkpoint",
    model_name: str | None = None,
    model_dir: str | Path = "models",
    multi_gpu: bool = False,  # noqa: ARG001 - one GPU is used
    reuse: bool = False,  # noqa: ARG001 - a session takes another model at any time
) -> None:
    """Load a run, or with `model_name` a model that was downloaded, into the session.

    Raises ModelError when it is not there or damaged.
    """
    if model_name:
        place = find_model(model_name, model_dir)
        print(f"Loading pretrained model {place}")
    else:
        place = find_run(run_name, checkpoint_dir, checkpoint)
        print(f"Loading checkpoint {place}")
    (sess if isinstance(sess, Session) else Session()).open(place)


def wanted_place(
    sess: object,
    run_name: str,
    checkpoint_dir: str | Path,
    model_name: str | None,
    model_dir: str | Path,
) -> Path:
    """Return the model that a call names, or else the session's."""
    named = model_name or (run_name, Path(checkpoint_dir)) != ("run1", Path("checkpoint"))
    if isinstance(sess, Session) and sess.place is not None and not named:
        return sess.place
    if model_name:
        return find_model(model_name, model_dir)
    folder = find_run(run_name, checkpoint_dir)
    if isinstance(sess, Session) and sess.place is not None and folder in sess.place.parents:
        return sess.place  # a checkpoint of that run, which was asked for before
    return folder


def generate(
    sess: object,
    run_name: str = "run1",
    checkpoint_dir: str | Path = "checkpoint",
    model_name: str | None = None,
    model_dir: str | Path = "models",
    sample_dir: str | Path = "samples",  # noqa: ARG001 - gpt-2-simple ignores it, too
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

    A text begins with `prefix`, which `include_prefix=False` removes, and has at most `length`
    tokens, those of the prefix included. It ends at the end-of-text token, or before `truncate`.
    `top_p` above 0 replaces `top_k`; 0 switches either off. Without a seed each call writes other
    texts. `batch_size` changes the speed only. Texts are printed with `sample_delim` between them,
    unless they are returned or written to `destination_path`, whose old content is replaced; a
    label beside it says that they are machine-written.
    Raises ModelError and UsageError.
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
    begin = prefix if include_prefix else ""
    texts = [_full_text(begin, s, truncate) for s in writer.generate_with(config)]
    lines = "".join(f"{text}\n{sample_delim if nsamples > 1 else ''}" for text in texts)
    if destination_path:
        write_labelled(Path(destination_path), lines, writer.label(sampling))
    elif not return_as_list:
        print(lines, end="")
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


def _full_text(begin: str, sample: Sample, truncate: str | None) -> str:
    """Return a text with its beginning; one with a start marker gets its end marker back."""
    text = begin + sample.text
    if sample.finish_reason == "end" and not truncate and text.startswith(START_OF_TEXT):
        text += END_OF_TEXT
    return text.lstrip("\n")

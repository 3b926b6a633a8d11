"""Sessions: nothing but a place to keep the loaded model between calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penwright.compat.gpt_2_simple.folders import find_model, find_run

if TYPE_CHECKING:
    from penwright.verbs.writer import Writer


@dataclass
class Session:
    """A stand-in for a TensorFlow session. Any other object, or None, is accepted as well:
    then the model is loaded anew by each call."""

    place: Path | None = None
    _writer: Writer | None = field(default=None, repr=False)

    def open(self, place: Path) -> Writer:
        """The model at `place`, loaded once."""
        if self._writer is None or self.place != place:
            self._writer = load_writer(place)
            self.place = place
        return self._writer

    def forget(self, place: Path | None) -> None:
        """Let go of the model; the next one to be wanted is at `place`."""
        self._writer, self.place = None, place

    def close(self) -> None:
        """Let go of the model."""
        self.forget(None)


def load_writer(place: Path) -> Writer:
    """The model at `place`, ready to write."""
    from penwright.verbs.writer import load

    return load(place)


def start_tf_sess(threads: int = -1, server: object = None) -> Session:  # noqa: ARG001
    """A session. `threads` above 0 limits the threads of this process; `server` means nothing."""
    if threads > 0:
        import torch

        torch.set_num_threads(threads)
    return Session()


def reset_session(sess: object, threads: int = -1, server: object = None) -> Session:
    """A new session; the old one lets go of its model."""
    if isinstance(sess, Session):
        sess.close()
    return start_tf_sess(threads, server)


def get_available_gpus() -> list[str]:
    """The names of the graphics cards, in TensorFlow's form."""
    import torch

    return [f"/device:GPU:{number}" for number in range(torch.cuda.device_count())]


def load_gpt2(
    sess: object,
    checkpoint: str = "latest",
    run_name: str = "run1",
    checkpoint_dir: str | Path = "checkpoint",
    model_name: str | None = None,
    model_dir: str | Path = "models",
    multi_gpu: bool = False,  # noqa: ARG001 - one model is never spread over several cards
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

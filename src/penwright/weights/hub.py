"""Find, download and upload models on the Hugging Face Hub, with its own client. No torch.

HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE work as in the client.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penwright.errors import ModelError, OutOfRoomError, UsageError
from penwright.files import disk_errors
from penwright.runs import RUNS
from penwright.weights import names

SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "penwright.json",
    "README.md",
)
OFFER = "`base` is bundled and needs no network."


_OTHER_NAMES = {
    **{name: (f"openai-community/{name}",) for name in (*names.SIZES.values(), "openai-gpt")},
    "distilgpt2": ("distilbert/distilgpt2",),
}


def cached(repository: str, revision: str | None = None) -> Path | None:
    """Return the folder of a repository if it is complete on this machine; uses no network."""
    from huggingface_hub import try_to_load_from_cache

    for name in (repository, *_OTHER_NAMES.get(repository, ())):
        for file in ("config.json", "adapter_config.json"):
            found = try_to_load_from_cache(name, file, revision=revision)
            if isinstance(found, str) and _is_whole(Path(found).parent):
                return Path(found).parent
    return None


def _is_whole(folder: Path) -> bool:
    for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if (folder / index).is_file():
            try:
                files = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"]
                return all((folder / str(file)).is_file() for file in files.values())
            except (ValueError, KeyError, TypeError, AttributeError):
                return False
    return any(
        (folder / file).is_file()
        for file in ("model.safetensors", "pytorch_model.bin", "adapter_model.safetensors")
    )


@dataclass(frozen=True)
class Answer:
    """A repository on the Hub; `bytes` is the size of its download, or 0 if unknown."""

    bytes: int


def look_up(repository: str, seconds: float) -> Answer | str:
    """Ask the Hub for a repository; return its answer, or the reason why there is none.

    A reason is part of a sentence, such as "the Hub does not answer".
    """
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answers: list[Answer] = []

    def ask() -> None:
        with contextlib.suppress(ModelError, OutOfRoomError), _told(repository):
            info = HfApi().model_info(repository, timeout=seconds, files_metadata=True)
            files = {file.rfilename: file.size or 0 for file in info.siblings or []}
            answers.append(Answer(sum(files[name] for name in choose(list(files)))))

    # The client's own time limit does not cover looking up the Hub's address.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return answers[0] if answers else "the Hub does not answer"


def download(repository: str, *, revision: str | None = None) -> Path:
    """Download a model's missing files from the Hub, and return its folder.

    An interrupted download continues where it stopped. Raises ModelError when the model does not
    exist or is gated, or when the Hub cannot be reached.
    """
    from huggingface_hub import HfApi, snapshot_download

    repository = names.HUB_NAMES.get(repository, repository)
    with _told(repository):
        info = HfApi().model_info(repository, revision=revision)
        files = [file.rfilename for file in info.siblings or []]
        wanted = choose(files)
        if not wanted:
            raise ModelError(
                f"{repository} on the Hub has no weights that Penwright reads.",
                fix="It reads safetensors and pytorch_model.bin.",
            )
        bar = _make_bar(repository)
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=wanted, tqdm_class=bar)
        )


def _make_bar(repository: str) -> type[Any]:
    """Return a progress bar for the client: bytes, speed and time left of the whole download."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            # The client also makes bars for files and for packets.
            bytes_ = options.get("unit") == "B" and options["desc"] != "Downloading bytes"
            options |= {
                "desc": f"Downloading {repository}",
                "bar_format": "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}, "
                "{remaining} left",
                "disable": not bytes_ or are_progress_bars_disabled(),
            }
            super().__init__(*args, **options)

        def set_description(self, *_: Any, **__: Any) -> None:
            """Ignore the client's descriptions of its stages."""

        set_description_str = set_description

    return Bar


def choose(files: Sequence[str]) -> list[str]:
    """Return the files of a repository's model; prefers safetensors to pickles."""
    small = [file for file in SMALL_FILES if file in files]
    if "adapter_config.json" in files and "adapter_model.safetensors" in files:
        return [*small, "adapter_config.json", "adapter_model.safetensors"]
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        index = f"{stem}.{suffix}.index.json"
        if index in files:
            shards = [
                file for file in files if file.startswith(f"{stem}-") and file.endswith(suffix)
            ]
            return [*small, index, *shards]
        if f"{stem}.{suffix}" in files:
            return [*small, f"{stem}.{suffix}"]
    return []


def fetch(repository: str) -> Path:
    """Return the folder of a repository, downloaded unless it is on this machine."""
    return cached(repository) or download(repository)


def push(
    model: str | Path,
    repository: str,
    *,
    private: bool = False,
    runs_dir: str | Path = RUNS,
) -> str:
    """Upload a model's folder and its card to the Hub, and return the page's address.

    Raises ModelError when there is no such model or the Hub refuses.
    """
    place = names.resolve(model, runs_dir)
    if place.kind not in ("run", "huggingface", "adapter"):
        raise UsageError(
            f"'{model}' is not a model folder, so it cannot be uploaded.",
            fix="Write one first: penwright export MODEL --to huggingface -o DIR",
        )
    folder = names.checkpoint_of(place.path) if place.kind == "run" else place.path
    return upload(folder, repository, private=private)


def upload(folder: Path, repository: str, *, private: bool = False) -> str:
    """Upload a model folder as `repository` and return the page's address; raises ModelError.

    Only the model's files are uploaded, not a checkpoint's trainer state.
    """
    from huggingface_hub import HfApi

    wanted = choose([file.name for file in folder.iterdir() if file.is_file()])
    with _told(repository):
        api = HfApi()
        page = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=page.repo_id,
            folder_path=folder,
            allow_patterns=wanted,
            commit_message="Upload with Penwright",
        )
    return str(page)


@contextlib.contextmanager
def _told(repository: str) -> Iterator[None]:
    """Raise ModelError or OutOfRoomError, with one sentence, for each of the client's errors."""
    from huggingface_hub import constants, errors

    # The client's major versions use different HTTP libraries; HfHubHTTPError has their base.
    network_errors: tuple[type[BaseException], ...] = (*errors.HfHubHTTPError.__bases__, OSError)

    keep = "Free some room, or set HF_HOME to a folder elsewhere."
    try:
        with disk_errors(Path(constants.HF_HUB_CACHE), keep):
            yield
    except errors.GatedRepoError:
        raise ModelError(
            f"{repository} is gated: its owner must give you access first.",
            fix=f"Ask for access at https://huggingface.co/{repository}, then set HF_TOKEN.",
        ) from None
    except errors.RepositoryNotFoundError:
        run = "" if "/" in repository else f"no run '{repository}' in {RUNS}/ and "
        raise ModelError(
            f"There is {run}no model '{repository}' on the Hub, or it is private.",
            fix=names.unknown(repository).fix,
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelError(f"{repository} on the Hub has no such revision.") from None
    except errors.HFValidationError as error:
        raise ModelError(f"'{repository}' is no name on the Hub: {error}") from None
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise _unreachable(repository, error) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        if isinstance(status, int) and status < 500:
            raise ModelError(
                f"The Hub refused {repository} ({status}).", fix="Is HF_TOKEN right?"
            ) from None
        raise _unreachable(repository, error) from None
    except network_errors as error:
        raise _unreachable(repository, error) from None


def _unreachable(repository: str, error: BaseException) -> ModelError:
    if repository in names.KNOWN or "/" in repository:
        return ModelError(
            f"{repository} is not on this machine and the Hub cannot be reached "
            f"({type(error).__name__}).",
            fix=f"Run `penwright download {repository}` when you are online; {OFFER}",
        )
    return ModelError(
        f"There is no run '{repository}' in {RUNS}/ and no such model on this machine, and the "
        f"Hub cannot be reached ({type(error).__name__}).",
        fix=names.unknown(repository).fix,
    )

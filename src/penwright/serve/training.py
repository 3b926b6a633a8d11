"""Examine files, and train on them in processes of their own that outlive the server.

A run is a process `penwright finetune` in its own session: it does not stop with the server, and
takes nothing from those who write meanwhile but a share of the machine. What it prints goes to
runs/.logs/NAME.log. Everything else that the page shows stands in the run's folder, so a run that
was started in a terminal, or before the server, is watched and stopped in the same way.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from penwright import report
from penwright.config import InspectConfig, PlanConfig, build, flat_fields
from penwright.doctor import Examination
from penwright.errors import ModelError, PenwrightError, RunError
from penwright.files import disk_errors
from penwright.runs import RUNS, Run, list_runs, new_name, spell
from penwright.serve.uploads import Uploads
from penwright.verbs.describe import summarise
from penwright.verbs.inspect import run_inspect
from penwright.verbs.plan import Planned, run_plan
from penwright.verbs.run_info import name_for
from penwright.verbs.votes import Ballot, count_votes
from penwright.weights import hub, names

METRICS_BYTES = 2**20
"""Most bytes of metrics in one answer."""
LOG_BYTES = 4000
VOTES = "votes.jsonl"
MOST_SAMPLES = 20
"""Most sets of samples in one answer: the newest."""
_STOPPED = 130  # the exit code of a verb that Ctrl-C ended
_MOST_OFFERED = 100
_SECONDS_TO_EXAMINE = 60.0
_NICE = 5  # those who write come first


class UnknownRunError(RunError):
    """There is no run of this name."""


class TrainingBusyError(PenwrightError):
    """The machine trains, or examines a file, already."""


class Child(NamedTuple):
    """A process that trains, and the time at which it began."""

    process: subprocess.Popen[bytes]
    began: float


class Training:
    """The runs of a working folder, the files sent by the page, and the processes that train."""

    def __init__(self, place: Path = Path()) -> None:
        self.place = place
        self.folder = place / RUNS
        self.uploads = Uploads(self.folder / ".uploads")
        self._children: dict[str, Child] = {}
        self._told_to_stop: set[int] = set()
        self._starting = threading.Lock()
        self._examining = threading.Lock()
        self._secret = secrets.token_bytes(32)

    def clean(self) -> list[str]:
        """Delete the files that were sent over a day ago and no run names; returns their names."""
        infos = (path.read_text("utf-8", "replace") for path in self.folder.glob("*/run.json"))
        return self.uploads.drop_old("".join(infos))

    def models(self) -> list[dict[str, Any]]:
        """Return the models that a run may start from; `here` tells which need no download."""
        sizes = [(size, hub.cached(name) is not None) for size, name in names.SIZES.items()]
        runs = [run for run in list_runs(self.folder) if run.pointed("latest")][-_MOST_OFFERED:]
        return [
            *({"name": size, "kind": "gpt2", "here": True} for size, here in sizes if here),
            {"name": "base", "kind": "base", "here": True},
            *({"name": run.name, "kind": "run", "here": True} for run in reversed(runs)),
            *({"name": size, "kind": "gpt2", "here": False} for size, here in sizes if not here),
        ]

    def inspect(self, file: str, options: Mapping[str, Any]) -> Examination:
        """Examine a file as a run with these options would read it."""
        model = self._find_model(options, self.folder)
        config = build(InspectConfig, _of(InspectConfig, options) | {"model": model, "windows": 2})
        with self._one_at_a_time():
            return run_inspect([self.uploads.find(file)], config)

    def plan(self, file: str, options: Mapping[str, Any]) -> Planned:
        """Plan a run with these options."""
        config = build(PlanConfig, _of(PlanConfig, options))
        with self._one_at_a_time():
            model = self._find_model(options, self.folder)
            return run_plan(model, [self.uploads.find(file)], config)

    def start(self, file: str, options: Mapping[str, Any], name: str | None = None) -> str:
        """Start a run and return its name. Raises TrainingBusyError, and UnknownFileError."""
        data = self.uploads.find(file).relative_to(self.place)
        flags = _flags(dict(options) | {"model": self._find_model(options, RUNS)})
        with self._starting:
            self._refuse_second()
            name = new_name(self.folder, name or name_for([data]))
            self._run(name, [str(data), *flags])
        return name

    def resume(self, name: str, changes: Mapping[str, Any]) -> None:
        """Continue a run, with a few options changed. Raises TrainingBusyError."""
        self.find(name)
        with self._starting:
            self._refuse_second()
            self._run(name, ["--resume", *_flags(changes)])

    def stop(self, name: str) -> None:
        """Let a run save its state and end, as Ctrl-C does. Raises RunError if it does not run."""
        if os.name != "posix":
            raise RunError(
                "On Windows a run cannot be stopped from here.",
                fix="Press Ctrl-C in its window, or end its process: the last checkpoint stays.",
            )
        child = self._children.get(name)
        is_ours = child is not None and child.process.poll() is None
        process = child.process.pid if child and is_ours else self.find(name).holder()
        if process is None:
            raise RunError(f"{name} is not running.")
        if process not in self._told_to_stop:  # a second signal would end it without saving
            os.kill(process, signal.SIGINT)
            self._told_to_stop.add(process)

    def find(self, name: str) -> Run:
        """Return a run of the folder by its name. Raises UnknownRunError."""
        for run in list_runs(self.folder):
            if run.name == name:
                return run
        raise UnknownRunError(f"There is no run '{name[:80]}'.")

    def runs(self) -> dict[str, Any]:
        """Return a line for each run, newest first, and a sentence for each that is damaged."""
        summaries, damaged = summarise(self.folder)
        lines = {summary.name: summary.as_json() for summary in summaries}
        lines |= {name: {"name": name} for name in self._children if name not in lines}
        for name, line in lines.items():
            line["status"] = self._status(name, line.get("status"))
            line["report"] = self._address(name)
        return {"runs": list(lines.values())[::-1], "damaged": damaged}

    def watch(self, name: str, offset: int, step: int) -> dict[str, Any]:
        """Return what is new of a run: metrics from byte `offset` on, samples after `step`.

        `again` tells that the metrics begin anew, since a resumed run dropped some; `more` that
        there are further ones already.
        """
        if name in self._children and not (self.folder / name / "run.json").is_file():
            return {"name": name, "status": self._status(name, None), "log": self._log(name)}
        run = self.find(name)
        # The status comes before the metrics, so that a finished run is told with all of them.
        status, info = self._status(name, run.status), run.info
        return {
            "name": name,
            "status": status,
            "log": self._log(name),
            "report": self._address(name),
            "can_write": run.pointed("latest") is not None,
            **{
                key: info.get(key)
                for key in ("created", "model", "plan", "data", "result", "error")
            },
            **_read_metrics(run.folder / "metrics.jsonl", offset),
            "samples": _read_samples(run.folder / "samples", step),
        }

    def vote(self, a: str, b: str, prompt: str, texts: tuple[str, str], winner: str) -> None:
        """Keep a choice between a text of model `a` and one of `b`; `winner` is a, b or neither.

        Raises DataError when the texts are the same.
        """
        both = {"prompt": prompt, "texts": texts}
        with self._starting:
            ballot = Ballot(self.folder / VOTES, (a, b), [both])
            key, pair = next(iter(ballot.pairs.items()), ("", None))
            left_won = pair is not None and pair.left_model == {"a": a, "b": b}.get(winner)
            ballot.vote(key, "tie" if winner == "neither" else "left" if left_won else "right")

    def votes(self, a: str, b: str) -> dict[str, Any]:
        """Return the count of the votes between two models, and a sentence on it."""
        counted = count_votes(self.folder / VOTES, a, b)
        return counted.as_json() | {"says": str(counted)}

    def report(self, name: str, ticket: str) -> Path:
        """Return a run's report, made anew while it runs. Raises UnknownRunError.

        A page that a browser opens can send no token, so its address holds a ticket.
        """
        if not hmac.compare_digest(ticket.encode(), self._ticket(name).encode()):
            raise UnknownRunError("This address is of an earlier start of the server.")
        run = self.find(name)
        path = run.folder / "report.html"
        return path if path.is_file() and run.status != "running" else report.write(run.folder)

    def _address(self, name: str) -> str | None:
        has_run = (self.folder / name / "run.json").is_file()
        return f"/report/{quote(name)}/{self._ticket(name)}" if has_run else None

    def _ticket(self, name: str) -> str:
        return hmac.new(self._secret, name.encode(), "sha256").hexdigest()

    def _find_model(self, options: Mapping[str, Any], folder: Path) -> str:
        """Return the model of the options as finetune takes it; only offered ones are known."""
        wanted = options.get("model", "base")
        for model in self.models():
            if model["name"] == wanted:
                return spell(folder / wanted) if model["kind"] == "run" else str(wanted)
        raise ModelError(f"There is no model '{wanted[:80]}' to start from.")

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._examining.acquire(timeout=_SECONDS_TO_EXAMINE):
            raise TrainingBusyError("Another file is being examined.", fix="Try again later.")
        try:
            yield
        finally:
            self._examining.release()

    def _refuse_second(self) -> None:
        running = [name for name, child in self._children.items() if child.process.poll() is None]
        running += [run.name for run in list_runs(self.folder) if run.status == "running"]
        if running:
            raise TrainingBusyError(f"{running[0]} is training.", fix="Stop it, or let it finish.")

    def _run(self, name: str, words: Sequence[str]) -> None:
        log = self._log_file(name)
        # -P: a file of the user's folder, such as torch.py, is not taken for a module.
        command = [sys.executable, "-P", "-m", "penwright", "finetune", *words, f"--name={name}"]
        with disk_errors(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    cwd=self.place,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows
                )
        self._children[name] = Child(process, time.time())
        self._told_to_stop.discard(process.pid)
        if os.name == "posix":
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)

    def _status(self, name: str, told: str | None) -> str:
        """Return a run's status; `told` is what its folder says, None when there is no folder.

        A process of ours runs until it is gone, and starts until it has touched the folder. One
        that failed before that is known here only.
        """
        child = self._children.get(name)
        if child is None:
            return told or "failed"
        code = child.process.poll()
        if code is None:
            path = self.folder / name / "run.json"
            return "running" if told and path.stat().st_mtime >= child.began else "starting"
        return told if told and code in (0, _STOPPED) else "failed"

    def _log_file(self, name: str) -> Path:
        return self.folder / ".logs" / f"{name}.log"

    def _log(self, name: str) -> str:
        """Return the end of what a process of ours printed."""
        path = self._log_file(name)
        if name not in self._children or not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return file.read().decode("utf-8", "replace")


def _of(cls: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the options that `cls` has."""
    known = flat_fields(cls)
    return {name: value for name, value in options.items() if name in known}


def _flags(options: Mapping[str, Any]) -> list[str]:
    """Return options as flags of a command line; one that is false is left out."""
    flags = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            flags.append(flag)
        elif value is not False:
            many = isinstance(value, (list, tuple))
            flags.append(f"{flag}={','.join(map(str, value)) if many else value}")
    return flags


def _read_metrics(path: Path, offset: int) -> dict[str, Any]:
    """Return the whole lines of a file from byte `offset` on, and where the next ones begin."""
    size = path.stat().st_size if path.is_file() else 0
    if not size:
        return {"metrics": [], "offset": 0, "more": False, "again": offset > 0}
    with path.open("rb") as file:
        start = max(0, offset - 1)
        file.seek(start)
        again = offset > 0 and file.read(1) != b"\n"
        file.seek(0 if again else offset)
        part = file.read(METRICS_BYTES)
    lines = part[: part.rfind(b"\n") + 1]
    end = (0 if again else offset) + len(lines)
    try:
        metrics = [json.loads(line) for line in lines.splitlines()]
    except ValueError:
        raise RunError(f"{path} is damaged.", fix="Delete the line that is no JSON.") from None
    return {"metrics": metrics, "offset": end, "more": end < size and bool(lines), "again": again}


def _read_samples(folder: Path, step: int) -> list[dict[str, Any]]:
    """Return the newest sets of samples that were written after `step`, in order."""
    found = {int(path.stem.removeprefix("step-")): path for path in folder.glob("step-*.json")}
    newest = sorted(number for number in found if number > step)[-MOST_SAMPLES:]
    sets = []
    for number in newest:
        try:
            texts = json.loads(found[number].read_text(encoding="utf-8"))
            shown = [{"prompt": text["prompt"], "text": text["text"]} for text in texts]
        except (ValueError, TypeError, KeyError):
            raise RunError(f"{found[number]} is damaged.", fix="Delete it.") from None
        sets.append({"step": number, "texts": shown})
    return sets

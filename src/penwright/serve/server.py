"""The state of a running server, and its models by name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request

from penwright import __version__
from penwright.errors import ModelError, suggest
from penwright.runs import spell
from penwright.serve.documents import Documents
from penwright.serve.scheduler import Scheduler
from penwright.serve.training import Training
from penwright.verbs.generate import Writer, load
from penwright.weights.names import checkpoint_of

MOST_MODELS = 8
"""Models that are loaded at a time."""


class UnknownModelError(ModelError):
    """A request names a model that the server has not loaded."""


@dataclass(frozen=True)
class Server:
    """The models, scheduler and folders that the routes use."""

    models: dict[str, Writer]
    scheduler: Scheduler
    documents: Documents
    timeout: float
    training: Training = field(default_factory=Training)
    open: Callable[[Path], Writer] = load
    """Opens a model in the way of those that the server began with."""
    started: int = field(default_factory=lambda: int(time.time()))
    fingerprint: str = f"penwright-{__version__}"
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def find(self, name: str) -> tuple[str, Writer]:
        """Return a model by name, without one the first. Raises UnknownModelError."""
        if not name:
            return next(iter(self.models.items()))
        if name not in self.models:
            known = suggest(name, self.models) or f"It has: {', '.join(self.models)}."
            raise UnknownModelError(f"The server has no model '{name[:80]}'.", fix=known)
        return name, self.models[name]

    async def load(self, run: Path) -> str:
        """Load a run's best model, in the place of its older one if there is one; returns its name.

        Raises ModelError when the run has no checkpoint, or too many models are loaded.
        """
        best = checkpoint_of(run)
        async with self._loading:
            name = run.name
            if name in self.models and run not in self.models[name].path.parents:
                name = spell(run)  # such as a run named base beside the bundled model
            old = self.models.get(name)
            if old is not None and old.path == best:
                return name
            if old is None and len(self.models) >= MOST_MODELS:
                raise ModelError(f"{MOST_MODELS} models are loaded already.", fix="Unload one.")
            writer = await asyncio.to_thread(self.open, run)
            await self.scheduler.run(self.scheduler.exchange(old, writer))
            self.models[name] = writer
        return name

    async def unload(self, name: str) -> None:
        """Give a model's memory back; its texts end. Raises ModelError for the last one."""
        async with self._loading:
            name, old = self.find(name)
            if len(self.models) == 1:
                raise ModelError(f"{name} is the only model; the server needs one.")
            del self.models[name]
            await self.scheduler.run(self.scheduler.exchange(old, None))


def server_of(request: Request) -> Server:
    """Return the server that a request came to."""
    server: Server = request.app.state.server
    return server

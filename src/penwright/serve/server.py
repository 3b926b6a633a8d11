"""The state of a running server, and its models by name."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import Request

from penwright import __version__
from penwright.errors import ModelError, suggest
from penwright.serve.documents import Documents
from penwright.serve.scheduler import Scheduler
from penwright.verbs.generate import Writer


class UnknownModelError(ModelError):
    """A request names a model that the server has not loaded."""


@dataclass(frozen=True)
class Server:
    """What the routes need of the server."""

    models: Mapping[str, Writer]
    scheduler: Scheduler
    documents: Documents
    timeout: float
    started: int = field(default_factory=lambda: int(time.time()))
    fingerprint: str = f"penwright-{__version__}"

    def find(self, name: str) -> tuple[str, Writer]:
        """Return a model by name, without one the first. Raises UnknownModelError."""
        if not name:
            return next(iter(self.models.items()))
        if name not in self.models:
            known = suggest(name, self.models) or f"It has: {', '.join(self.models)}."
            raise UnknownModelError(f"The server has no model '{name[:80]}'.", fix=known)
        return name, self.models[name]


def server_of(request: Request) -> Server:
    """Return the server that a request came to."""
    server: Server = request.app.state.server
    return server

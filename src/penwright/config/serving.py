"""Options of the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from penwright.config.fields import Names
from penwright.config.training import LoadConfig


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Options of `serve`."""

    host: str = "127.0.0.1"
    """Address to listen on. Any but this machine's own needs --api-key."""
    port: int = 8000
    """Port to listen on."""
    api_key: str | None = None
    """Key that clients must send as a bearer token. Default: PENWRIGHT_API_KEY, or none."""
    allow_origin: Names = ()
    """Web pages that may use the server: https://lite.koboldai.net, or null for local files."""
    allow_host: Names = ()
    """Further names that this machine is reached by, such as writer.example.org behind a proxy."""
    documents: Path = Path("documents")
    """Folder of the documents that are written on the page."""
    batch_size: int | None = None
    """Texts to write at once. Does not change the texts."""
    max_waiting: int = 512
    """Texts that may wait for their turn; further requests get status 429."""
    timeout: float = 600.0
    """Longest time for one request, in seconds."""
    compute: LoadConfig = field(default_factory=LoadConfig)

"""Write text with a model: many texts at once, or one as it comes."""

from __future__ import annotations

from penwright.sample.engine import (
    FinishReason,
    Sample,
    encode_prompt,
    generate,
    stream,
    write_each,
)
from penwright.sample.window import Seams

__all__ = ["FinishReason", "Sample", "Seams", "encode_prompt", "generate", "stream", "write_each"]

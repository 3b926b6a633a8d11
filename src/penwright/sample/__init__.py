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

__all__ = ["FinishReason", "Sample", "encode_prompt", "generate", "stream", "write_each"]

"""Values with a meaning of their own in texts and in training targets. No torch."""

from __future__ import annotations

import re

END_OF_TEXT = "<|endoftext|>"
"""Ends a document in a text file; the name of GPT-2's end-of-text token."""
START_OF_TEXT = "<|startoftext|>"
"""Begins a document in files made for gpt-2-simple; ordinary text to GPT-2's tokenizer."""

IGNORED = -100
"""The target of a token that is not learned (torch's default `ignore_index`)."""

WORD_END = re.compile(r"\S(?=[ \t\n\r\f\v])")
"""A character before ASCII white space: no GPT-2 token reaches across the end of this match."""

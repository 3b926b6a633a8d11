"""Write texts side by side: each step gives every one of them its next token.

B rows, T tokens, C channels, V vocabulary.

All but the last token of each row's window are in the cache; a step reads the last ones, all rows
at once, and chooses the next. A finished row leaves, and one whose window is full leaves and comes
back with its last half, so every step computes living rows only. The functions that place the
window are pure, so every way of writing sees the same; positions count from the window's start.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.model import GPT2, KVCache, evaluating
from penwright.sample import logits
from penwright.sample.processors import NO_TEXT, Rows
from penwright.tokens.bpe import Tokenizer


def begin_window(prompt: int, max_new: int, context: int) -> int:
    """Return the start of the window of a prompt of `prompt` tokens.

    A prompt that fits is read whole. Of a longer one only the end is read, with room left to write
    `max_new` tokens, or half the context if they need more.
    """
    if prompt <= context:
        return 0
    return prompt - max(1, context - min(max_new, context // 2))


def follow_window(start: int, length: int, context: int) -> int:
    """Return the start of the window once the text has `length` tokens.

    It stays until it is full; then it keeps the last half of a context, and fills up again.
    """
    if length - start <= context:
        return start
    return length - max(1, context // 2)


class CharacterStream:
    """A decoder of UTF-8 that takes bytes and returns whole characters.

    A character whose bytes are not all there is held back, and left out if they never come; bytes
    that can be no UTF-8 become U+FFFD. What came out is what decoding all bytes at once gives,
    but for such an unfinished last character.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        """Return the characters that `data` completes."""
        return self._decoder.decode(data)


class StopMatcher:
    """A filter that passes text on up to the first stop text.

    The stop text that is complete first ends the text, the longest if several are complete with
    the same character, and the text is cut where it begins. That does not depend on how the text
    is cut into pieces. What could still become a stop text is held back.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """Return the text that no stop text can begin in any more; hold back the rest."""
        if not self._stops:
            return text
        if not text or self.found is not None:
            return ""
        text = self._held + text
        ends = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            _, at, self.found = min(ends)
            self._held = ""
            return text[:at]
        sure = len(text) - max(_overlap(text, stop) for stop in self._stops)
        self._held = text[sure:]
        return text[:sure]

    def finish(self) -> str:
        """Return the text that was held back, at the end."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that a longer `stop` begins with."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


PREFILL_TOKENS = 4096
CPU_BYTES = 2**30
CPU_ROWS = 32
GPU_ROWS = 128


class Row:
    """A text being written: its tokens so far, prompt included, and what is known of it."""

    def __init__(self, index: int, prompt: list[int], context: int, sampling: SamplingConfig):
        self.index = index
        self.ids = list(prompt)
        self.prompt_length = len(prompt)
        self.key = logits.sample_key(sampling.seed, index)
        self.start = begin_window(len(prompt), sampling.max_new_tokens, context)
        self.max_new = sampling.max_new_tokens
        self.finish_reason = "" if self.max_new else "length"
        self.pieces: list[str] = []
        self._characters = CharacterStream()
        self._stops = StopMatcher(sampling.stop)
        self._stop_texts = sampling.stop

    @property
    def written(self) -> int:
        """Number of tokens written, the prompt not counted."""
        return len(self.ids) - self.prompt_length

    @property
    def cached(self) -> list[int]:
        """The tokens that the cache holds: the window without the last, which is read next."""
        return self.ids[self.start : -1]

    def push(self, token: int, tokenizer: Tokenizer) -> str:
        """Append a chosen token; returns the text that is now sure, and may finish the row."""
        if token in tokenizer.end_ids:
            self.finish_reason = "end"
            piece = self._stops.finish()
        elif token in tokenizer.hidden and tokenizer.decode([token]) in self._stop_texts:
            self.ids.append(token)
            self.finish_reason = "stop"
            piece = self._stops.finish()
        else:
            self.ids.append(token)
            piece = self._stops.feed(self._characters.feed(tokenizer.printed_bytes(token)))
            if self._stops.found is not None:
                self.finish_reason = "stop"
            elif self.written == self.max_new:
                self.finish_reason = "length"
                piece += self._stops.finish()
        if piece:
            self.pieces.append(piece)
        return piece


class Batch:
    """The rows being written, and their cache."""

    def __init__(self, model: GPT2, tokenizer: Tokenizer, sampling: SamplingConfig) -> None:
        self.rows: list[Row] = []
        self._model = model
        self._tokenizer = tokenizer
        self._sampling = sampling
        self._chooser = logits.Chooser(sampling, tokenizer)
        self._device = model.head_weight_VC.device
        self._context = model.config.n_positions
        self._cache = empty_cache(self._model, 0)
        self._arrange()

    def enter(self, rows: Sequence[Row]) -> None:
        """Begin to write these rows too: read all but the last token of their windows."""
        rows = sorted(rows, key=lambda row: len(row.cached))
        with torch.inference_mode(), evaluating(self._model):
            while rows:
                longest = 1
                count = 0
                for row in rows:
                    longest = max(longest, len(row.cached))
                    if count and (count + 1) * longest > PREFILL_TOKENS:
                        break
                    count += 1
                self._cache.join(self._prefill([row.cached for row in rows[:count]]))
                self.rows += rows[:count]
                rows = rows[count:]
        self._arrange()

    def step(self) -> list[tuple[Row, str]]:
        """Choose every row's next token; returns each row with its new text.

        Finished rows have their `finish_reason` and are no longer in `rows`.
        """
        tokens = self._choose()
        pieces = [
            (row, row.push(token, self._tokenizer))
            for row, token in zip(self.rows, tokens, strict=True)
        ]
        leaving = [number for number, row in enumerate(self.rows) if row.finish_reason]
        full = []
        for number, row in enumerate(self.rows):
            start = follow_window(row.start, len(row.ids), self._context)
            if start != row.start and not row.finish_reason:
                row.start = start
                full.append(number)
        if leaving or full:
            returning = [self.rows[number] for number in full]
            with torch.inference_mode():
                order = self._cache.drop(leaving + full)
            self.rows = [self.rows[number] for number in order]
            if returning:
                self.enter(returning)
            else:
                self._arrange()
        return pieces

    def _choose(self) -> list[int]:
        with torch.inference_mode(), evaluating(self._model):
            last_BT = torch.tensor([row.ids[-1:] for row in self.rows], device=self._device)
            hidden_BC = self._cache.feed(self._model, last_BT)
            logits_BV = self._model.logits(hidden_BC)[:, : self._tokenizer.vocab_size].float()
            ids_BT, lengths_B = self._texts() if self._chooser.reads_text else (NO_TEXT, NO_TEXT)
            written_B = torch.from_numpy(self._steps_B).to(self._device)
            rows = Rows(ids_BT, lengths_B, written_B, self._tokenizer.end_ids)
            logits_BV = self._chooser.process(logits_BV, rows)
            chosen_B = self._chooser.choose(logits_BV, self._keys_B, self._steps_B)
            self._steps_B += 1
            return [int(token) for token in chosen_B]

    def _arrange(self) -> None:
        """Rebuild the arrays beside the rows after rows entered or left."""
        self._keys_B = np.array([row.key for row in self.rows], dtype=np.uint64)
        self._steps_B = np.array([row.written for row in self.rows], dtype=np.int64)
        self._texts_BT: Tensor | None = None

    def _texts(self) -> tuple[Tensor, Tensor]:
        """Return the rows' texts without the <|endoftext|> before the prompt, and their lengths."""
        lengths = [len(row.ids) - 1 for row in self.rows]
        lengths_B = torch.tensor(lengths, device=self._device)
        if self._texts_BT is None:
            shape = len(self.rows), max(lengths) + self._sampling.max_new_tokens
            texts_BT = torch.full(shape, self._tokenizer.vocab_size, dtype=torch.long)
            for number, row in enumerate(self.rows):
                texts_BT[number, : lengths[number]] = torch.tensor(row.ids[1:], dtype=torch.long)
            self._texts_BT = texts_BT.to(self._device)
        else:
            last_B = torch.tensor([row.ids[-1] for row in self.rows], device=self._device)
            self._texts_BT.scatter_(1, lengths_B[:, None] - 1, last_B[:, None])
        return self._texts_BT[:, : max(lengths)], lengths_B

    def _prefill(self, texts: Sequence[list[int]]) -> KVCache:
        """Return a cache of these texts, each different one read once."""
        different = {tuple(text): None for text in texts if text}
        numbers = {text: number for number, text in enumerate(different)}
        cache = empty_cache(self._model, len(numbers))
        if numbers:
            longest = max(map(len, numbers))
            padded = [[*text, *[0] * (longest - len(text))] for text in numbers]
            tokens_BT = torch.tensor(padded, device=self._device)
            cache.feed(self._model, tokens_BT, [len(text) for text in numbers])
        if len(numbers) < len(texts):
            empty = empty_cache(self._model, 1)
            empty.join(cache)
            cache = empty
            cache.select([numbers[tuple(text)] + 1 if text else 0 for text in texts])
        return cache


def empty_cache(model: GPT2, rows: int) -> KVCache:
    """Return a cache in the precision that the model computes in."""
    weight_VC = model.head_weight_VC
    kind = weight_VC.device.type
    amp = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if amp else weight_VC.dtype
    return KVCache(model.config, rows, model.config.n_positions, dtype, weight_VC.device)


def choose_rows(model: GPT2, prompts: Sequence[Sequence[int]], max_new: int) -> int:
    """Return the number of texts to write at once, from the memory that their caches take.

    At most 32 on a CPU, within 1 GiB; at most 128 on a GPU, within half of its free memory.
    """
    config, weight_VC = model.config, model.head_weight_VC
    longest = min(config.n_positions, max(map(len, prompts)) + max_new)
    held = 2 * config.n_layer * config.n_embd * longest * weight_VC.element_size()
    each = 2 * held + 16 * config.vocab_size
    room, most = CPU_BYTES, CPU_ROWS
    if weight_VC.device.type == "cuda":
        room, most = torch.cuda.mem_get_info(weight_VC.device)[0] // 2, GPU_ROWS
    return max(1, min(most, room // each))

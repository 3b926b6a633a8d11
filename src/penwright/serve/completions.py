"""The part of a completion that every API shares: prompts, limits, settings, scores, choices."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from penwright.config import SamplingConfig, WriteConfig
from penwright.errors import PenwrightError, UsageError
from penwright.sample.healing import heal
from penwright.sample.logits import Chooser, check
from penwright.score import cut
from penwright.serve.lane import Piece, Token
from penwright.tokens import Tokenizer
from penwright.verbs.generate import Writer

MOST_TEXTS = 256
"""Texts of one request, prompts times `n` or `best_of`."""
MOST_TOKENS = 2**18
"""Tokens that one request may ask for, all its texts together."""
MOST_PROMPT_TOKENS = 2**18
SEEDS = 2**63
FINISH_REASONS = {"end": "stop", "stop": "stop", "loop": "stop", "length": "length"}
"""OpenAI's names for why a text ended."""
SCORED_AT_ONCE = 256
"""Positions whose probabilities are in memory at one time, [256, V]."""

SAMPLING_FIELDS = {item.name for item in dataclasses.fields(SamplingConfig)}


@dataclass(frozen=True)
class Prompt:
    """A prompt: its text, and the tokens that the model reads.

    The first `hidden` of them (an end-of-text token) are not the client's. `again` are the last
    bytes of the text, if the model writes them again.
    """

    text: str
    ids: list[int]
    hidden: int
    again: bytes = b""

    @property
    def tokens(self) -> int:
        """Number of tokens, as the client counts."""
        return len(self.ids) - self.hidden


def read_prompts(
    model: Writer, given: Any, write: WriteConfig | None = None, *, healed: bool = False
) -> list[Prompt]:
    """Return the prompts of a request: a text, texts, token ids, or lists of token ids.

    Each is read as documents begin, after an end-of-text token. Texts, but not token ids, are
    `healed` where they end inside a word or in a space, and `write` puts them in the form of the
    model's training data. Raises UsageError.
    """
    if isinstance(given, str):
        items: list[Any] = [given]
    elif isinstance(given, list) and given and all(type(item) is int for item in given):
        items = [given]
    else:
        items = list(given) if isinstance(given, list) else []
    if not items:
        raise UsageError("prompt must be a text, or a list of texts or of token ids.")
    prompts: list[Prompt] = []
    for item in items:
        if isinstance(item, str):
            text = item if write is None else model.begin(item, write)
            ids, again = model.tokenizer.encode_prompt(text), b""
            if healed:
                ids, again = heal(text, ids, model.tokenizer)
            prompts.append(Prompt(text, ids, 1, again))
        else:
            prompts.append(_read_ids(model, item))
    if sum(prompt.tokens for prompt in prompts) > MOST_PROMPT_TOKENS:
        raise UsageError(f"The prompts have more than {MOST_PROMPT_TOKENS} tokens.")
    return prompts


def _read_ids(model: Writer, item: Any) -> Prompt:
    size = model.tokenizer.vocab_size
    if not isinstance(item, list) or not all(type(id_) is int for id_ in item):
        raise UsageError("prompt must be a text, or a list of texts or of token ids.")
    if not all(0 <= id_ < size for id_ in item):
        raise UsageError(f"Token ids of this model are from 0 to {size - 1}.")
    end = model.tokenizer.eot_id
    ids = item if item[:1] == [end] else [end, *item]
    return Prompt(model.tokenizer.decode(item), ids, len(ids) - len(item))


def check_weights(model: Writer, wanted: str | None) -> None:
    """Raise UsageError for another type of weights than the model was loaded with."""
    used = model.source.weights
    if wanted not in (None, "auto", used):
        raise UsageError(
            f"{model.name} writes with weights of type {used}, not {wanted}.",
            fix=f"Start the server with --weights {wanted}.",
        )


def check_size(prompts: Sequence[Prompt], n: int, max_tokens: int) -> None:
    """Raise UsageError for a request of more texts or tokens than one may ask for."""
    texts = len(prompts) * n
    if texts > MOST_TEXTS:
        raise UsageError(f"The request asks for {texts} texts; {MOST_TEXTS} at most are written.")
    if texts * max_tokens > MOST_TOKENS:
        raise UsageError(
            f"The request asks for {texts * max_tokens} tokens; {MOST_TOKENS} at most are written."
        )


def build_sampling(model: Writer, values: Mapping[str, Any]) -> SamplingConfig:
    """Return settings from fields of SamplingConfig; None leaves a field's own default.

    Without a seed, or with one below 0, it is drawn. Raises UsageError for values out of range,
    and for tokens that the model does not have.
    """
    given = {k: v for k, v in values.items() if v is not None and k in SAMPLING_FIELDS}
    seed = given.get("seed", -1)
    given["seed"] = secrets.randbelow(SEEDS) if seed < 0 else seed
    sampling = SamplingConfig(**given)
    check(sampling)
    Chooser(replace(sampling, max_copy=0), model.tokenizer)
    return sampling


@dataclass
class Choice:
    """A text as it grows."""

    index: int
    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    finish_reason: str = ""

    def add(self, piece: Piece) -> None:
        """Append what a step added."""
        self.text += piece.text
        self.tokens += piece.tokens
        self.finish_reason = piece.finish_reason or self.finish_reason

    @property
    def likelihood(self) -> float:
        """Mean log-probability of its tokens."""
        logprobs = [token.logprob for token in self.tokens if token.logprob is not None]
        return sum(logprobs) / len(logprobs) if logprobs else 0.0


def score(model: Writer, ids: Sequence[int], top: int) -> Generator[None, None, list[Token]]:
    """Return the tokens of a text, all but the first with log-probabilities, as `score` computes.

    Yields after each window, so that other work can be done between them.
    """
    context, size = model.source.config.n_positions, model.tokenizer.vocab_size
    tokens = [Token(ids[0])]
    for window in cut(0, 0, len(ids), context, max(1, context // 2)):
        first, end = window.start + window.seen, window.start + window.length
        decoder = model.source.decoder()
        decoder.enter([ids[window.start : first]])
        for begin in range(first, end, SCORED_AT_ONCE):
            read = ids[begin : min(end, begin + SCORED_AT_ONCE)]
            part = ids[begin + 1 : begin + 1 + len(read)]
            logprobs_TV = decoder.feed([read], every=True)[:, :size].log_softmax(-1)
            chosen_T1 = torch.tensor(part, device=decoder.device)[:, None]
            chosen = logprobs_TV.gather(1, chosen_T1)[:, 0].tolist()
            best = logprobs_TV.topk(min(max(top, 1), size))
            tops = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            tokens += [
                Token(id_, logprob, tuple(zip(*pair, strict=True))[:top])
                for id_, logprob, pair in zip(part, chosen, tops, strict=True)
            ]
        yield
    return tokens


def one_token_each(tokenizer: Tokenizer, piece: Piece) -> list[Piece]:
    """Split a piece into pieces of one token, for clients that read one token an event.

    Where the text is not that of its tokens (a stop text, parts of characters), it stays whole.
    """
    texts = [tokenizer.decode([token.id]) for token in piece.tokens]
    if len(texts) < 2 or "".join(texts) != piece.text:
        return [piece]
    reasons = [*[""] * (len(texts) - 1), piece.finish_reason]
    parts = zip(texts, piece.tokens, reasons, strict=True)
    return [Piece(piece.index, text, (token,), reason) for text, token, reason in parts]


def found_stop(tokenizer: Tokenizer, choice: Choice, stops: Sequence[str]) -> str:
    """Return the stop text that ended a choice, or an empty string."""
    if choice.finish_reason != "stop":
        return ""
    whole = b"".join(tokenizer.printed_bytes(token.id) for token in choice.tokens)
    rest = whole.decode("utf-8", "replace")[len(choice.text) :]
    return max((stop for stop in stops if rest.startswith(stop)), key=len, default="")


def show_error(error: PenwrightError) -> dict[str, Any]:
    """Return an error in OpenAI's format."""
    kind = "invalid_request_error" if isinstance(error, UsageError) else "server_error"
    return {"message": str(error), "type": kind, "param": None, "code": None}


def spell(tokenizer: Tokenizer, id_: int) -> str:
    """Return the text of a token; of one that is no whole characters, `bytes:\\xe2`."""
    data = tokenizer.token_bytes(id_)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


class Offsets:
    """Counts the characters before each token, whose bytes may be parts of characters."""

    def __init__(self, tokenizer: Tokenizer, start: int = 0) -> None:
        self._tokenizer = tokenizer
        self._place = start

    def take(self, ids: Sequence[int]) -> Iterator[int]:
        """Yield the place of each token, in characters."""
        for id_ in ids:
            yield self._place
            data = self._tokenizer.printed_bytes(id_)
            self._place += sum(byte & 0xC0 != 0x80 for byte in data)

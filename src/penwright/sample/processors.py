"""Functions that change logits, and the one table of all options that choose a token.

A sampling option is a field of SamplingConfig, a function, and an entry in `OPTIONS`. An entry is
a `Processor` (looks at the text; applied to greedy choice, sampling and beams), a `Warper` (shapes
the distribution that is sampled from) or a `Guard` (refuses a chosen token). The order of the table
is the order of application: that of transformers, and of vLLM for its penalties.

B batch, V vocabulary, T time. Each function takes float logits_BV and gives new ones, with -inf
where a token is ruled out, and does to each row the same whatever the other rows are.

`ids_BT` is the text of each row so far, at the left, filled up with any number >= V.

These are the plain forms, each over the whole vocabulary; `logits.shortlist` gives the same
distribution as the warpers without sorting it all, and a test holds it to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.sample.copy_limit import CopyGuard, TrainingCopies, need_training
from penwright.sample.healing import write_again
from penwright.sample.phrases import BannedPhrases, RequiredWords
from penwright.tokens.bpe import Tokenizer

RULED_OUT = float("-inf")
NO_TEXT = torch.empty(0, dtype=torch.long)
Refusal = Callable[[Sequence[int], int], bool]
"""(ids of a text with its prompt, token) -> whether the token must not follow. One for each text,
which grows by tokens."""
Biases = Mapping[tuple[int, ...], float]


class Rows(NamedTuple):
    """The rows that logits are for."""

    ids_BT: Tensor
    """The text of each row, without the end-of-text token before it; empty where no active option
    reads it."""
    lengths_B: Tensor
    written_B: Tensor
    """Tokens written so far, the prompt not counted."""
    end_ids: Sequence[int]
    left_B: Tensor = NO_TEXT
    """Tokens that may still be written."""
    healing: Sequence[bytes] = ()
    """What each row must write again of its prompt's end; empty if no row has to."""


def temperature(logits_BV: Tensor, t: float) -> Tensor:
    """Divide the logits by `t` > 0."""
    return logits_BV / t


def top_k(logits_BV: Tensor, k: int) -> Tensor:
    """Keep the k likeliest tokens, and those that are exactly as likely as the last of them.

    Fan, Lewis and Dauphin, "Hierarchical Neural Story Generation", 2018.
    """
    kth_B1 = logits_BV.topk(min(k, logits_BV.shape[-1])).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < kth_B1, RULED_OUT)


def top_p(logits_BV: Tensor, p: float) -> Tensor:
    """Keep the fewest likeliest tokens whose probabilities reach `p`, at least one.

    Tokens exactly as likely as the last one kept are kept too, so that the result does not depend
    on how a sort breaks ties.
    Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019.
    """
    sorted_BV = logits_BV.sort(descending=True).values
    p_BV = sorted_BV.double().softmax(-1)
    before_BV = p_BV.cumsum(-1) - p_BV
    n_B1 = (before_BV < p).sum(-1, keepdim=True).clamp(min=1)
    return logits_BV.masked_fill(logits_BV < sorted_BV.gather(-1, n_B1 - 1), RULED_OUT)


def min_p(logits_BV: Tensor, share: float) -> Tensor:
    """Keep the tokens at least `share` times as likely as the likeliest.

    Nguyen et al., "Turning Up the Heat: Min-p Sampling", 2024.
    """
    p_BV = logits_BV.softmax(-1)
    return logits_BV.masked_fill(p_BV < share * p_BV.amax(-1, keepdim=True), RULED_OUT)


def typical_p(logits_BV: Tensor, mass: float) -> Tensor:
    """Keep the tokens whose surprisal is closest to the entropy, up to the probability `mass`.

    Tokens exactly as close as the last one kept are kept too.
    Meister et al., "Locally Typical Sampling", 2022.
    """
    logp_BV = logits_BV.log_softmax(-1)
    entropy_B1 = -(logp_BV * logp_BV.exp()).nansum(-1, keepdim=True)
    distance_BV = (logp_BV + entropy_B1).abs()
    sorted_BV, order_BV = distance_BV.sort()
    p_BV = logp_BV.gather(-1, order_BV).double().exp()
    n_B1 = (p_BV.cumsum(-1) < mass).sum(-1, keepdim=True).clamp(max=logits_BV.shape[-1] - 1)
    return logits_BV.masked_fill(distance_BV > sorted_BV.gather(-1, n_B1), RULED_OUT)


def repetition_penalty(logits_BV: Tensor, ids_BT: Tensor, penalty: float) -> Tensor:
    """Divide the positive logits, and multiply the negative ones, of tokens in the text.

    Keskar et al., "CTRL: A Conditional Transformer Language Model", 2019, section 4.1.
    """
    rows, vocabulary = logits_BV.shape
    seen_BV = torch.zeros(rows, vocabulary + 1, dtype=torch.bool, device=logits_BV.device)
    seen_BV.scatter_(1, ids_BT.clamp(max=vocabulary), True)
    softer_BV = torch.where(logits_BV < 0, logits_BV * penalty, logits_BV / penalty)
    return torch.where(seen_BV[:, :vocabulary], softer_BV, logits_BV)


def count_penalty(logits_BV: Tensor, rows: Rows, each: float = 0.0, once: float = 0.0) -> Tensor:
    """Subtract `each` for every time that a token was written, and `once` if it was at all.

    Tokens of the prompt do not count, as in vLLM. OpenAI's API reference gives the formula:
    logit - count * frequency_penalty - (count > 0) * presence_penalty.
    """
    vocabulary = logits_BV.shape[1]
    place_T = torch.arange(rows.ids_BT.shape[1], device=logits_BV.device)
    first_B1 = (rows.lengths_B - rows.written_B)[:, None]
    written_BT = (place_T >= first_B1) & (place_T < rows.lengths_B[:, None])
    counts_BV = torch.zeros(len(logits_BV), vocabulary + 1, device=logits_BV.device)
    counts_BV.scatter_add_(1, rows.ids_BT.clamp(max=vocabulary), written_BT.float())
    counts_BV = counts_BV[:, :vocabulary]
    return logits_BV - each * counts_BV - once * (counts_BV > 0)


def no_repeat_ngram(logits_BV: Tensor, ids_BT: Tensor, lengths_B: Tensor, n: int) -> Tensor:
    """Rule out tokens that would write a run of `n` tokens that stands in the text already.

    `lengths_B` says how many of `ids_BT` are text in each row.
    Paulus, Xiong and Socher, "A Deep Reinforced Model for Abstractive Summarization", 2017.
    """
    rows, vocabulary = logits_BV.shape
    if ids_BT.shape[1] < n:
        return logits_BV
    back_N = torch.arange(1 - n, 0, device=ids_BT.device)
    tail_BN = ids_BT.gather(1, (lengths_B[:, None] + back_N).clamp(min=0))
    runs_BWN = ids_BT.unfold(1, n, 1)
    same_BW = (runs_BWN[..., :-1] == tail_BN[:, None]).all(-1) & (lengths_B >= n)[:, None]
    banned_BW = torch.where(same_BW, runs_BWN[..., -1].clamp(max=vocabulary), vocabulary)
    banned_BV = torch.zeros(rows, vocabulary + 1, dtype=torch.bool, device=logits_BV.device)
    banned_BV.scatter_(1, banned_BW, True)
    return logits_BV.masked_fill(banned_BV[:, :vocabulary], RULED_OUT)


def sequence_bias(logits_BV: Tensor, ids_BT: Tensor, lengths_B: Tensor, biases: Biases) -> Tensor:
    """Add each bias to the last token of its sequence, in rows whose text ends with the others.

    A bias of -inf rules the sequence out.
    """
    logits_BV = logits_BV.clone()
    for ids, bias in biases.items():
        *before, last = ids
        if len(before) > ids_BT.shape[1]:
            continue
        there_B = lengths_B >= len(before)
        for back, token in enumerate(reversed(before), 1):
            here_B1 = (lengths_B - back).clamp(min=0)[:, None]
            there_B = there_B & (ids_BT.gather(1, here_B1)[:, 0] == token)
        logits_BV[:, last] += torch.where(there_B, bias, 0.0) if before else bias
    return logits_BV


def forbid(logits_BV: Tensor, tokens: Sequence[int], where_B: Tensor) -> Tensor:
    """Rule `tokens` out in the rows where `where_B` is true."""
    every_V = torch.arange(logits_BV.shape[1], device=logits_BV.device)
    column_V = torch.isin(every_V, torch.tensor(tokens, device=logits_BV.device))
    return logits_BV.masked_fill(where_B[:, None] & column_V, RULED_OUT)


def parse_biases(items: Sequence[str], tokenizer: Tokenizer) -> dict[tuple[int, ...], float]:
    """Return the biases of `TEXT=BIAS` and `id:ID=BIAS`, as `sequence_bias` takes them.

    A text of several tokens gets its bias at each of them, behind those before it. Raises
    UsageError for an item that is neither, and for an id that the tokenizer does not have.
    """
    biases: dict[tuple[int, ...], float] = {}
    for item in items:
        text, _, number = item.rpartition("=")
        try:
            bias = float(number)
            named = int(text[3:]) if text.startswith("id:") else None
        except ValueError:
            bias, text, named = math.nan, "", None
        if not text or math.isnan(bias) or bias == math.inf:
            raise UsageError(
                f"The logit bias '{item}' is not TEXT=BIAS or id:ID=BIAS.",
                fix="For example --logit-bias ' goose=2.5', or --logit-bias id:50=-1.",
            )
        if named is not None and not 0 <= named < tokenizer.vocab_size:
            raise UsageError(
                f"The logit bias '{item}' names token {named}, but the tokenizer has the tokens "
                f"0 to {tokenizer.vocab_size - 1}."
            )
        ids = tokenizer.encode(text) if named is None else [named]
        for end in range(1, len(ids) + 1):
            start = tuple(ids[:end])
            biases[start] = biases.get(start, 0.0) + bias
    return biases


class Rule(NamedTuple):
    """The values that an option takes, and how its error message ends."""

    holds: Callable[[Any], bool]
    says: str


ANY = Rule(lambda _: True, "")
NUMBER = Rule(math.isfinite, "must be a finite number")
NOT_NEGATIVE = Rule(lambda value: value >= 0, "cannot be below 0")
POSITIVE = Rule(lambda value: value > 0, "must be above 0")
SHARE = Rule(lambda value: 0 <= value <= 1, "is a share between 0 and 1")
MASS = Rule(lambda value: 0 < value <= 1, "is a probability above 0, and at most 1")


FILLED = Rule(all, "cannot be an empty text")


class Basis(NamedTuple):
    """The model's tokenizer and data, which options are prepared with."""

    tokenizer: Tokenizer
    training: TrainingCopies | None = None


def _unchanged(value: Any, _: Basis) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class Option:
    """A field of SamplingConfig that has a say in which token is chosen."""

    off: Any
    """The value that changes nothing."""
    rule: Rule = ANY
    prepare: Callable[[Any, Basis], Any] = _unchanged
    """(value of the field, basis) -> the value that `apply` takes. Raises UsageError."""
    native: bool = False
    """Whether the native decoder writes several tokens with it; else each is chosen in Python."""


@dataclass(frozen=True, kw_only=True)
class Processor(Option):
    """An option that looks at the text. Greedy choice and beams apply it too."""

    apply: Callable[[Tensor, Any, Rows], Tensor]
    """(logits_BV, prepared value, rows) -> new logits_BV."""
    reads_text: bool = False


@dataclass(frozen=True, kw_only=True)
class Warper(Option):
    """An option that shapes the distribution that is sampled from."""

    apply: Callable[[Tensor, Any], Tensor]
    """(logits_BV, prepared value) -> new logits_BV."""


@dataclass(frozen=True, kw_only=True)
class Guard(Option):
    """An option that refuses a chosen token, which is then ruled out, and the choice made again.

    It looks at whole texts, which cannot be done for every token of the vocabulary at each step.
    With greedy choice, and with noise that belongs to the token, the outcome is the same as if the
    token had been ruled out at first. Beams apply it too.
    """

    begin: Callable[[Any, int], Refusal]
    """(prepared value, tokens of the prompt) -> the guard of one text."""


_Kind = TypeVar("_Kind", bound=Option)

OPTIONS: dict[str, Option] = {
    "logit_bias": Processor(
        off=(),
        prepare=lambda items, basis: parse_biases(items, basis.tokenizer),
        apply=lambda x_BV, biases, rows: sequence_bias(x_BV, rows.ids_BT, rows.lengths_B, biases),
        reads_text=True,
    ),
    "repetition_penalty": Processor(
        off=1,
        rule=POSITIVE,
        apply=lambda x_BV, penalty, rows: repetition_penalty(x_BV, rows.ids_BT, penalty),
        reads_text=True,
    ),
    "frequency_penalty": Processor(
        off=0,
        rule=NUMBER,
        apply=lambda x_BV, each, rows: count_penalty(x_BV, rows, each=each),
        reads_text=True,
    ),
    "presence_penalty": Processor(
        off=0,
        rule=NUMBER,
        apply=lambda x_BV, once, rows: count_penalty(x_BV, rows, once=once),
        reads_text=True,
    ),
    "no_repeat_ngram_size": Processor(
        off=0,
        rule=NOT_NEGATIVE,
        apply=lambda x_BV, n, rows: no_repeat_ngram(x_BV, rows.ids_BT, rows.lengths_B, n),
        reads_text=True,
    ),
    "require": Processor(
        off=(),
        rule=FILLED,
        prepare=lambda words, basis: RequiredWords(words, basis.tokenizer),
        apply=lambda x_BV, words, rows: words.steer(x_BV, rows),
        reads_text=True,
    ),
    "min_new_tokens": Processor(
        off=0,
        rule=NOT_NEGATIVE,
        apply=lambda x_BV, n, rows: forbid(x_BV, rows.end_ids, rows.written_B < n),
        native=True,
    ),
    "heal": Processor(
        off=False,
        prepare=lambda _, basis: basis.tokenizer,
        apply=lambda x_BV, tokenizer, rows: write_again(x_BV, tokenizer, rows.healing),
        native=True,  # once what had to be written again is there
    ),
    "temperature": Warper(off=1, rule=NOT_NEGATIVE, apply=temperature, native=True),
    "top_k": Warper(off=0, rule=NOT_NEGATIVE, apply=top_k, native=True),
    "top_p": Warper(off=1, rule=MASS, apply=top_p, native=True),
    "min_p": Warper(off=0, rule=SHARE, apply=min_p, native=True),
    "typical_p": Warper(off=1, rule=MASS, apply=typical_p),
    "ban": Guard(
        off=(),
        rule=FILLED,
        prepare=lambda phrases, basis: BannedPhrases(phrases, basis.tokenizer),
        begin=lambda phrases, _: phrases.refuses,
        native=True,
    ),
    "max_copy": Guard(
        off=0,
        rule=NOT_NEGATIVE,
        prepare=lambda most, basis: (need_training(basis.training), most),
        begin=lambda limit, prompt: CopyGuard(limit[0], limit[1], prompt).refuses,
        native=True,
    ),
}
"""Every option that has a say in which token is chosen, in the order of application."""


def find_active(sampling: SamplingConfig, kind: type[_Kind]) -> dict[str, _Kind]:
    """Return the options of this kind that are on, by name, in the order of application."""
    return {
        name: option
        for name, option in OPTIONS.items()
        if isinstance(option, kind) and getattr(sampling, name) != option.off
    }

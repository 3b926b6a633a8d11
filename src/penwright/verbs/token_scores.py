"""Score the tokens of a text: log-probability, rank, entropy and the likeliest alternatives."""

from __future__ import annotations

import codecs
import contextlib
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penwright import score
from penwright.compute import autocast, choose_device, choose_precision
from penwright.config import ScoreConfig, build
from penwright.dataset.store_cache import open_data
from penwright.errors import UsageError
from penwright.files import atomic_file, refuse_existing, write_text
from penwright.report.scores import MOST_TOKENS, scores_page
from penwright.score import DocumentScores, Score
from penwright.tokens import Split, Tokenizer
from penwright.verbs.generate import Writer, load_exactly
from penwright.wording import Warn, log


@dataclass(frozen=True)
class ScoredToken:
    """A token of a text as the model sees it, in nats.

    `text` is empty where a character goes on in the next token. A token that is not scored,
    because it is context or the first one, has neither log-probability nor rank nor entropy.
    """

    id: int
    text: str
    logprob: float | None
    rank: int | None
    entropy: float | None
    best: tuple[tuple[str, float], ...]
    """The likeliest tokens at this place, with their log-probabilities."""

    def as_json(self) -> dict[str, Any]:
        """Return the token for a program."""
        best = [{"text": text, "logprob": logprob} for text, logprob in self.best]
        return {**vars(self), "best": best}


@dataclass(frozen=True)
class ScoredDocument:
    """A document's tokens, from the end-of-text token before it to the one after it."""

    number: int
    tokens: tuple[ScoredToken, ...]

    @property
    def loss_sum(self) -> float:
        """The sum of -log p in nats."""
        return -math.fsum(token.logprob for token in self.tokens if token.logprob is not None)

    @property
    def scored(self) -> int:
        """The number of scored tokens."""
        return sum(token.logprob is not None for token in self.tokens)

    def as_json(self) -> dict[str, Any]:
        """Return the document for a program."""
        return {
            "document": self.number,
            "loss_sum": self.loss_sum,
            "scored": self.scored,
            "tokens": [token.as_json() for token in self.tokens],
        }


@dataclass
class Total:
    """Sums over documents, equal to those of `evaluate`."""

    bytes: int
    loss_sum: float = 0.0
    tokens: int = 0
    documents: int = 0
    first: int = 0
    """Tokens that were the likeliest one."""
    first_ten: int = 0

    def add(self, document: ScoredDocument) -> None:
        """Count one more document."""
        ranks = [token.rank for token in document.tokens if token.rank is not None]
        self.loss_sum += document.loss_sum
        self.tokens += document.scored
        self.documents += 1
        self.first += sum(rank == 1 for rank in ranks)
        self.first_ten += sum(rank <= 10 for rank in ranks)

    @property
    def score(self) -> Score:
        """The sums as `evaluate` has them."""
        return Score(
            loss_sum=self.loss_sum,
            tokens=self.tokens,
            documents=self.documents,
            bytes=self.bytes,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program or a page."""
        score = self.score
        return {
            "documents": self.documents,
            "tokens": self.tokens,
            "loss": score.loss,
            "perplexity": score.perplexity,
            "bits_per_byte": score.bits_per_byte,
            "first": self.first / self.tokens if self.tokens else 0.0,
            "first_ten": self.first_ten / self.tokens if self.tokens else 0.0,
        }


def score_tokens(
    model: str | Path | None,
    *data: str | Path,
    warn: Warn = log,
    **options: Any,
) -> list[ScoredDocument]:
    """Score every token of `data` with a model; `options` are those of `penwright score`."""
    config = build(ScoreConfig, options)
    check(data, config)
    writer = load_exactly(model, config.compute.device, warn, in_torch=True)
    total, documents = score_texts(writer, data, config, warn)
    return list(save_scores(writer, data, config, total, documents))


def check(data: Sequence[str | Path], config: ScoreConfig) -> None:
    """Raise UsageError for an invalid option, before a model is opened."""
    if not data:
        raise UsageError("There is no text to score.", fix="Name a file, or - for standard input.")
    for path in filter(None, (config.output, config.html)):
        refuse_existing(path, fix="Choose another name.")
    if config.best < 0:
        raise UsageError(f"--best is {config.best}; it must be at least 0.")


def score_texts(
    writer: Writer, data: Sequence[str | Path], config: ScoreConfig, warn: Warn
) -> tuple[Total, Iterator[ScoredDocument]]:
    """Return the documents of `data` with the scores of their tokens, and a total.

    The documents are scored as they are read, and the total grows with them. `data` may be -,
    standard input. Raises DataError and UsageError.
    """
    check(data, config)
    device = choose_device(config.compute.device)
    wanted = "fp32" if config.compute.precision == "auto" else config.compute.precision
    with _readable(data) as paths:
        store = open_data(paths, config.data, writer.tokenizer, warn).store
    split = Split.whole(store)
    total = Total(split.n_bytes)

    def documents() -> Iterator[ScoredDocument]:
        scores = score.score_tokens(
            writer.model,
            split,
            best=config.best,
            stride=config.stride,
            autocast=autocast(device, choose_precision(wanted, device, writer.model.config.n_embd)),
        )
        for number, found in enumerate(scores, 1):
            document = ScoredDocument(number, tuple(_tokens(found, writer.tokenizer)))
            total.add(document)
            yield document

    return total, documents()


def save_scores(
    writer: Writer,
    data: Sequence[str | Path],
    config: ScoreConfig,
    total: Total,
    documents: Iterator[ScoredDocument],
) -> Iterator[ScoredDocument]:
    """Yield the documents, and write the files that `config` names; raises OutOfRoomError."""
    shown: list[dict[str, Any]] = []
    room = MOST_TOKENS if config.html else 0
    with contextlib.ExitStack() as stack:
        rows = None
        if config.output is not None:
            temporary = stack.enter_context(atomic_file(config.output))
            rows = stack.enter_context(temporary.open("w", encoding="utf-8", newline="\n"))
        for document in documents:
            record = document.as_json() if rows or room > 0 else {}
            if rows:
                rows.write(json.dumps(record, ensure_ascii=False) + "\n")
            if room > 0:
                record["tokens"] = record["tokens"][:room]
                room -= len(record["tokens"])
                shown.append(record)
            yield document
    if config.html is not None:
        name = "standard input" if str(data[0]) == "-" else Path(data[0]).name
        more = f" and {len(data) - 1} more" if len(data) > 1 else ""
        write_text(config.html, scores_page(name + more, writer.name, shown, total.as_json()))


def _tokens(found: DocumentScores, tokenizer: Tokenizer) -> Iterator[ScoredToken]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    last = len(found.ids_T) - 1
    for place, id_ in enumerate(found.ids_T.tolist()):
        text = decoder.decode(tokenizer.token_bytes(id_), final=place == last)
        if not found.scored_T[place]:
            yield ScoredToken(id_, text, None, None, None, ())
            continue
        known = [
            (tokenizer.decode([other]), logprob)
            for other, logprob in zip(
                found.best_TK[place].tolist(), found.best_logprobs_TK[place].tolist(), strict=True
            )
            if other < tokenizer.vocab_size
        ]
        yield ScoredToken(
            id_,
            text,
            float(found.logprobs_T[place]),
            int(found.ranks_T[place]),
            float(found.entropies_T[place]),
            tuple(known),
        )


@contextmanager
def _readable(data: Sequence[str | Path]) -> Iterator[Sequence[str | Path]]:
    """Yield the paths, with standard input as a file."""
    if "-" not in map(str, data):
        yield data
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "standard-input.txt"
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [copy if str(path) == "-" else path for path in data]

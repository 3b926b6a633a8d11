"""Write: a loaded model, prompts from options or a file, texts as records."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from penwright import sample, weights
from penwright.compute import DTYPES, choose_device, emulation_warning
from penwright.config import (
    GenerateConfig,
    GenerateFilesConfig,
    SamplingConfig,
    WriteConfig,
    build,
)
from penwright.dataset.tasks import find_fields
from penwright.errors import DataError, UsageError
from penwright.model import GPT2
from penwright.sample import Sample
from penwright.sample.logits import check as check_sampling
from penwright.sample.logits import is_greedy
from penwright.sections import build_prefix, parse
from penwright.tokens import Tokenizer
from penwright.verbs import provenance
from penwright.wording import Warn

_PARTS = ("sections", "fields")


@dataclass(frozen=True)
class Text:
    """A text that was written, and all that is needed to write it again."""

    prompt: str
    text: str
    finish_reason: str
    tokens: int
    index: int
    label: dict[str, Any]
    """Who wrote it, and with which seed and settings; see `provenance`."""
    sections: dict[str, str | list[str]] = field(default_factory=dict)
    """The sections of the text by name, from a model that writes to keywords."""
    fields: dict[str, str] = field(default_factory=dict)
    """The fields of the text by name, from a model that learned records."""

    @property
    def whole(self) -> str:
        """The text with its prompt, as a person reads it: of sections, the title and the body."""
        if not self.sections:
            return self.prompt + self.text
        return "\n".join(str(self.sections[n]) for n in ("title", "body") if n in self.sections)

    def as_json(self) -> dict[str, Any]:
        """Return the record for a program, its label included."""
        record = asdict(self)
        label: dict[str, Any] = record.pop("label")
        return {k: v for k, v in record.items() if k not in _PARTS or v} | label


def check(config: WriteConfig) -> None:
    """Raise UsageError for an option that cannot be, before a model is opened."""
    check_sampling(config.sampling)
    if config.n < 1:
        raise UsageError(f"--n is {config.n}, the number of texts; it must be at least 1.")
    if (
        isinstance(config, GenerateConfig)
        and config.batch_size is not None
        and config.batch_size < 1
    ):
        raise UsageError(f"--batch-size is {config.batch_size}; it must be at least 1.")


def write_texts(
    writer: Writer,
    config: GenerateConfig,
    on_text: Callable[[int, str], None] | None = None,
    warn: Warn | None = None,
) -> list[Text]:
    """Write `config.n` texts for each prompt of `config`."""
    samples = writer.generate_with(config, on_text, warn)
    label = writer.label(config.sampling)
    return [
        _record(sample, config.prompt[number // config.n], writer, label)
        for number, sample in enumerate(samples)
    ]


def _record(sample: Sample, prompt: str, writer: Writer, label: dict[str, Any]) -> Text:
    return Text(
        prompt=prompt,
        text=sample.text,
        finish_reason=sample.finish_reason,
        tokens=sample.tokens,
        index=sample.index,
        label=label,
        sections=_sections(sample) if writer.sections else {},
        fields=writer.fields_of(sample),
    )


def _sections(sample: Sample) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = dict(parse(sample.prompt + sample.text))
    if "keywords" in found:
        found["keywords"] = str(found["keywords"]).split()
    return found


def read_prompts(config: GenerateFilesConfig, warn: Warn) -> tuple[str, ...]:
    """Return the prompts given one by one, then those of the file; without any, one empty prompt.

    `warn` is told of prompts that end with a space. Raises DataError for a file without prompts.
    """
    prompts = config.prompt or (() if config.prompts else ("",))
    if config.prompts is not None:
        prompts += _read_lines(config.prompts)
    spaced = [prompt for prompt in prompts if prompt.endswith(" ")]
    if spaced:
        warn(
            f"The prompt '{spaced[0][-30:]}' ends with a space. GPT-2's words begin with theirs, "
            "so the text is better without it."
        )
    return prompts


def _read_lines(name: str) -> tuple[str, ...]:
    """Return the lines of a file, a pipe or, for -, of standard input, without the empty ones."""
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"There is no file '{name}'.") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8: byte {error.start} does not fit.", fix="Save it as UTF-8."
        ) from None
    # str.splitlines would also end lines at form feeds and U+2028.
    prompts = tuple(line for line in re.split(r"\r\n|\n|\r", text) if line.strip())
    if not prompts:
        raise DataError(f"{name} has no prompts.", fix="Write one on each line.")
    return prompts


_FAR = 1 << 32
"""The numbers of texts that are written again begin so far behind the others'."""


@dataclass(frozen=True)
class Writer:
    """A model with its tokenizer; `penwright.load` makes one, and so does a finished run."""

    name: str
    path: Path
    model: GPT2
    tokenizer: Tokenizer
    prompt_format: str | None
    sections: tuple[str, ...] = ()
    """The sections of its texts, for a model that writes to keywords."""
    template: str | None = None
    """The template that joins fields, for a model that learned records."""

    def label(self, sampling: SamplingConfig) -> dict[str, Any]:
        """Return the label of texts that this model writes with these settings."""
        weights = str(self.model.head_weight_VC.dtype).removeprefix("torch.")
        return provenance.label(self.name, weights, sampling)

    def generate(
        self, prompt: str | Sequence[str] = "", n: int = 1, **options: Any
    ) -> list[Sample]:
        """Write `n` texts for each prompt, ordered by prompt.

        `options` are those of `penwright generate` (temperature, top_p, seed, stop, ...); an
        unknown one raises UsageError.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        config = build(GenerateConfig, options | {"prompt": tuple(prompts), "n": n})
        return self.generate_with(config)

    def generate_with(
        self,
        config: GenerateConfig,
        on_text: Callable[[int, str], None] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> list[Sample]:
        """Write the texts that `config` asks for; `warn` is told of prompts that are cut."""
        texts = sample.generate(
            self.model,
            self.tokenizer,
            [self.begin(prompt, config) for prompt in config.prompt],
            config.n,
            config.sampling,
            batch_size=config.batch_size,
            on_text=on_text,
            warn=warn,
        )
        certain = is_greedy(config.sampling) or config.sampling.num_beams > 1
        for attempt in range(0 if certain else config.retry_empty):
            for place, text in enumerate(texts):
                if not text.text.strip():
                    (texts[place],) = sample.generate(
                        self.model,
                        self.tokenizer,
                        [text.prompt],
                        1,
                        config.sampling,
                        first_index=place + (attempt + 1) * _FAR,
                        on_text=on_text,
                    )
        return [_strip(text) for text in texts] if config.strip else texts

    def records(
        self, prompt: str | Sequence[str] = "", n: int = 1, **options: Any
    ) -> list[dict[str, str]]:
        """Write as `generate` does, and return each text's fields by name.

        The model must have learned from several columns that a template joins; raises UsageError
        for any other. A text that ends early has fewer fields.
        """
        if self.template is None:
            raise UsageError(
                f"{self.name} has not learned records with fields.",
                fix='Finetune on a table with --template "{title}: {text}" --learn all.',
            )
        return [self.fields_of(text) for text in self.generate(prompt, n, **options)]

    def fields_of(self, text: Sample) -> dict[str, str]:
        """Return the fields of a text by name; none for a model that has not learned records."""
        return find_fields(self.template, text.prompt + text.text) if self.template else {}

    def stream(self, prompt: str = "", **options: Any) -> Iterator[str]:
        """Write one text, piece by piece; the pieces joined are what `generate` returns."""
        return self.stream_with(prompt, build(GenerateConfig, options))

    def stream_with(
        self, prompt: str, config: WriteConfig, warn: Callable[[str], None] | None = None
    ) -> Iterator[str]:
        """Write one text, piece by piece, as `config` asks."""
        begun = self.begin(prompt, config)
        return sample.stream(self.model, self.tokenizer, begun, config.sampling, warn=warn)

    def begin(self, prompt: str, config: WriteConfig) -> str:
        """Return the text that the model continues: the prompt in its form, after its keywords.

        Raises UsageError when keywords are asked of a model that has not learned to.
        """
        if config.keywords is None and config.category is None:
            return self.in_form(prompt, raw=config.raw)
        if not self.sections:
            raise UsageError(
                f"{self.name} has not learned to write to keywords.",
                fix="Make texts that begin with theirs with `penwright keywords encode`, "
                "and finetune on them.",
            )
        words = (config.keywords or "").split(",")
        return build_prefix(self.sections, words, config.category, prompt)

    def in_form(self, prompt: str, *, raw: bool = False) -> str:
        """Return the prompt in the form that prompts had in the model's data."""
        if raw or not self.prompt_format:
            return prompt
        return self.prompt_format.replace("{prompt}", prompt)


def load(
    model: str | Path | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    warn: Callable[[str], None] = lambda _: None,
) -> Writer:
    """Open a model by size, Hub name, folder or run; without a name, the default one.

    The default is GPT-2 124M where it is on this machine or can be downloaded, else `base`; `warn`
    is told which, and what of the model's files was left out or guessed.

    Weights are float32 on a CPU and bf16 on a GPU unless `precision` says otherwise.
    Raises ModelError when there is no such model or it is damaged.
    """
    name = weights.choose_model(model, warn)
    place = choose_device(device)
    if precision == "auto":
        precision = "bf16" if place.type == "cuda" else "fp32"
    elif slow := emulation_warning(precision, place):
        warn(slow)
    opened = weights.open(name, dtype=DTYPES[precision], device=place)
    for note in opened.notes:
        warn(note)
    opened.model.eval()
    return Writer(
        opened.name,
        opened.path,
        opened.model,
        opened.tokenizer,
        opened.format.get("prompt_format"),
        tuple(opened.format.get("sections", ())),
        opened.format.get("template"),
    )


def generate(
    model: str | Path | None, prompt: str | Sequence[str] = "", n: int = 1, **options: Any
) -> list[Sample]:
    """Write `n` texts for each prompt with a model given by name; see `Writer.generate`."""
    return load(model).generate(prompt, n, **options)


def _strip(text: Sample) -> Sample:
    """Strip white space at the ends; the space after a prompt belongs between the two."""
    return replace(text, text=text.text.rstrip() if text.prompt else text.text.strip())

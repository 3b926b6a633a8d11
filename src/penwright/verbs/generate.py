"""Write: prompts from the options or a file, texts out as records."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penwright.config import GenerateConfig, GenerateFilesConfig, WriteConfig
from penwright.errors import DataError, UsageError
from penwright.sample import Sample
from penwright.sample.logits import check as check_sampling
from penwright.sections import parse
from penwright.verbs.writer import Writer
from penwright.wording import Warn

_PARTS = ("sections", "fields")


@dataclass(frozen=True)
class Text:
    """A text that was written, and all that is needed to write it again."""

    prompt: str
    text: str
    finish_reason: str
    tokens: int
    seed: int
    index: int
    model: str
    settings: dict[str, Any]
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
        """Return the record for a program."""
        record = asdict(self)
        return {key: record[key] for key in record if key not in _PARTS or record[key]}


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
    settings = asdict(config.sampling)
    return [
        _record(sample, config.prompt[number // config.n], writer, settings)
        for number, sample in enumerate(samples)
    ]


def _record(sample: Sample, prompt: str, writer: Writer, settings: dict[str, Any]) -> Text:
    return Text(
        prompt=prompt,
        text=sample.text,
        finish_reason=sample.finish_reason,
        tokens=sample.tokens,
        seed=sample.seed,
        index=sample.index,
        model=writer.name,
        settings=settings,
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

"""Write: prompts from the options or a file, texts out as records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from penwright.config import GenerateConfig
from penwright.errors import DataError, UsageError
from penwright.formats.keywords import parse
from penwright.sample import Sample
from penwright.verbs.writer import Writer

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
    """Of a model that writes to keywords, the text's sections by name."""
    fields: dict[str, str] = field(default_factory=dict)
    """Of a model that has learned records, the text's fields by name."""

    @property
    def whole(self) -> str:
        """The text with its prompt, as a person reads it: of sections, the title and the body."""
        if not self.sections:
            return self.prompt + self.text
        return "\n".join(str(self.sections[n]) for n in ("title", "body") if n in self.sections)

    def as_json(self) -> dict[str, Any]:
        """The record for a program."""
        record = asdict(self)
        return {key: record[key] for key in record if key not in _PARTS or record[key]}


def write_texts(
    writer: Writer, config: GenerateConfig, on_text: Callable[[int, str], None] | None = None
) -> list[Text]:
    """Write `config.n` texts for each prompt; raises DataError for a prompts file without any."""
    prompts = read_prompts(config)
    samples = writer.generate_with(replace(config, prompt=prompts), on_text)
    settings = asdict(config.sampling)
    return [
        _record(sample, prompts[number // config.n], writer, settings)
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


def read_prompts(config: GenerateConfig) -> tuple[str, ...]:
    """The prompts given one by one, then those of the file; one empty prompt when there is none."""
    if config.n < 1:
        raise UsageError(f"n must be at least 1, but is {config.n}.")
    if config.prompts is None:
        return config.prompt or ("",)
    return config.prompt + _read_lines(config.prompts)


def _read_lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"There is no file '{path}'.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.start} does not fit.") from None
    prompts = tuple(line for line in text.splitlines() if line.strip())
    if not prompts:
        raise DataError(f"{path} has no prompts.", fix="Write one on each line.")
    return prompts

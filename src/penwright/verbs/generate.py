"""Write: a loaded model, prompts from options or a file, texts as records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penwright import sample
from penwright.compute import choose_device
from penwright.config import (
    GenerateConfig,
    GenerateFilesConfig,
    LoadConfig,
    SamplingConfig,
    WriteConfig,
    build,
)
from penwright.config.training import Device, Precision, WeightsName
from penwright.dataset.tasks import find_fields
from penwright.errors import RunError, UsageError
from penwright.model import GPT2
from penwright.sample import Sample, Seams
from penwright.sample.copy_limit import TrainingCopies
from penwright.sample.decoder import Source
from penwright.sample.drafts import Drafter
from penwright.sample.logits import check as check_sampling
from penwright.sample.logits import is_certain
from penwright.sample.weight_types import open_source
from penwright.sections import build_prefix, parse
from penwright.tokens import Tokenizer
from penwright.verbs import provenance
from penwright.verbs.speed import Meter
from penwright.weights import choose_model
from penwright.wording import Warn, log

if TYPE_CHECKING:
    from penwright.formats.prompts import PromptRow

_PARTS = ("seams", "line", "sections", "fields")


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
    seams: Seams | None = None
    """What it cost that the window moved, for a text that is longer than the context."""
    line: int | None = None
    """The line or record of the prompt in a file of prompts."""
    sections: dict[str, str | list[str]] = field(default_factory=dict)
    """The sections of the text by name, from a model that writes to keywords."""
    fields: dict[str, str] = field(default_factory=dict)
    """The fields of the text by name, from a model that learned records."""

    def shown(self, *, drop_prompt: bool = False) -> str:
        """Return the text with its prompt, or without, as a person reads it: of sections, the title
        and the body.
        """
        if not self.sections:
            return self.text if drop_prompt else self.prompt + self.text
        return "\n".join(str(self.sections[n]) for n in ("title", "body") if n in self.sections)

    def as_json(self) -> dict[str, Any]:
        """Return the record for a program, its label included."""
        record = asdict(self)
        label: dict[str, Any] = record.pop("label")
        return {k: v for k, v in record.items() if k not in _PARTS or v} | label


def check(config: WriteConfig) -> None:
    """Raise UsageError for an invalid option, before a model is opened."""
    check_sampling(config.sampling)
    if config.n < 1:
        raise UsageError(f"--n is {config.n}, the number of texts; it must be at least 1.")
    if (
        isinstance(config, GenerateConfig)
        and config.batch_size is not None
        and config.batch_size < 1
    ):
        raise UsageError(f"--batch-size is {config.batch_size}; it must be at least 1.")
    if isinstance(config, GenerateFilesConfig) and config.devices < 1:
        raise UsageError(f"--devices is {config.devices}; it must be at least 1.")


def make_record(sample: Sample, row: PromptRow, writer: Writer, label: dict[str, Any]) -> Text:
    """Return a sample with all that is needed to write it again; `row` is its prompt."""
    return Text(
        prompt=row.prompt,
        text=sample.text,
        finish_reason=sample.finish_reason,
        tokens=sample.tokens,
        index=sample.index,
        label=label,
        seams=sample.seams,
        line=row.line,
        sections=_sections(sample) if writer.sections else {},
        fields=writer.fields_of(sample),
    )


def _sections(sample: Sample) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = dict(parse(sample.prompt + sample.text))
    if "keywords" in found:
        found["keywords"] = str(found["keywords"]).split()
    return found


_FAR = 1 << 32
"""The numbers of texts that are written again begin so far behind the others'."""


@dataclass(frozen=True)
class Writer:
    """A model with its tokenizer; `penwright.load` makes one, and so does a finished run."""

    name: str
    path: Path
    source: Source
    """The model as it writes."""
    open_model: Callable[[], GPT2] = field(repr=False)
    tokenizer: Tokenizer
    prompt_format: str | None
    sections: tuple[str, ...] = ()
    """The sections of its texts, for a model that writes to keywords."""
    template: str | None = None
    """The template that joins fields, for a model that learned records."""
    drafter: Drafter | None = None
    """Makes drafts for a text that is written alone."""
    meter: Meter = field(default_factory=Meter, compare=False, repr=False)

    @cached_property
    def model(self) -> GPT2:
        """The model in PyTorch, opened again where the native decoder writes."""
        return self.open_model()

    def label(self, sampling: SamplingConfig) -> dict[str, Any]:
        """Return the label of texts that this model writes with these settings."""
        return provenance.label(self.name, self.source.weights, sampling)

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
        return list(self.generate_each(config, 0, on_text, warn))

    def generate_each(
        self,
        config: GenerateConfig,
        first_index: int = 0,
        on_text: Callable[[int, str], None] | None = None,
        warn: Warn | None = None,
    ) -> Iterator[Sample]:
        """Yield the texts that `config` asks for in order, each as soon as those before it are.

        They are the texts from number `first_index` on.
        """
        prompts = [self.begin(prompt, config) for prompt in config.prompt]

        def write(prompts: list[str], n: int, first: int) -> Iterator[Sample]:
            texts = sample.write_each(
                self.source,
                self.tokenizer,
                prompts,
                n,
                config.sampling,
                batch_size=config.batch_size,
                first_index=first,
                drafter=self.drafter,
                on_text=on_text,
                warn=warn,
                training=training,
            )
            self.meter.alone &= len(prompts) * n == 1
            written: Iterator[Sample] = self.meter.time(texts)
            return written

        training = self.training(config.sampling, warn)
        tries = 0 if is_certain(config.sampling) else config.retry_empty
        waiting: dict[int, Sample] = {}
        following = first_index
        for text in write(prompts, config.n, first_index):
            waiting[text.index] = text
            while following in waiting:
                text = waiting.pop(following)
                for attempt in range(tries):
                    if text.text.strip():
                        break
                    (text,) = write([text.prompt], 1, following + (attempt + 1) * _FAR)
                yield _strip(text) if config.strip else text
                following += 1

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
        text = sample.stream(
            self.source,
            self.tokenizer,
            begun,
            config.sampling,
            drafter=self.drafter,
            warn=warn,
            training=self.training(config.sampling, warn),
        )
        pieces: Iterator[str] = self.meter.time(text)
        return pieces

    def training(self, sampling: SamplingConfig, warn: Warn | None = None) -> TrainingCopies | None:
        """Return the text that the model was trained on, if `sampling` limits what is copied of it.

        Raises RunError when the model is of no run, or its text is gone or has changed.
        """
        if not sampling.max_copy:
            return None
        if "_training" not in self.__dict__ and self._run_folder and warn:
            warn(f"Opening the training text of {self.name}, for --max-copy.")
        return self._training

    @property
    def _run_folder(self) -> Path | None:
        folders = (self.path, *self.path.parents)
        return next((folder for folder in folders if (folder / "run.json").is_file()), None)

    @cached_property
    def _training(self) -> TrainingCopies:
        from penwright.dataset.training_text import open_training_text

        if self._run_folder is None:
            raise RunError(
                f"--max-copy needs the text that {self.name} was trained on, but it is no run of "
                "`penwright finetune`.",
                fix="Name a run whose files are still there.",
            )
        return TrainingCopies(open_training_text(self._run_folder).index, self.tokenizer)

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
    device: Device = "auto",
    precision: Literal["auto", Precision] = "auto",
    weights: Literal["auto", WeightsName] = "auto",
    drafts: Literal["auto", "off"] = "auto",
    warn: Warn = log,
) -> Writer:
    """Open a model by size, Hub name, folder or run; without a name, the default one.

    The default is GPT-2 124M where it is on this machine or can be downloaded, else `base`; `warn`
    is told which, and what of the model's files was left out or guessed.

    On a CPU with a C compiler, the native decoder writes, with the type of `weights` that is the
    fastest there and writes as well (`warn` is told), and only those are kept in memory. Elsewhere
    PyTorch writes: in float32 on a CPU and bf16 on a GPU, unless `precision` says otherwise.
    Raises ModelError when there is no such model or it is damaged, UsageError for weights that
    cannot be had here.
    """
    config = LoadConfig(device=device, precision=precision, weights=weights, drafts=drafts)
    return load_with(model, config, warn)


def load_exactly(
    model: str | Path | None, device: Device, warn: Warn = log, *, in_torch: bool = False
) -> Writer:
    """Open a model with weights that do not depend on how fast this machine is."""
    pinned: WeightsName | Literal["auto"] = (
        "float32" if choose_device(device).type == "cpu" else "auto"
    )
    config = LoadConfig(device=device, weights=pinned)
    return load_with(model, config, warn, in_torch=in_torch)


def load_with(
    model: str | Path | None, config: LoadConfig, warn: Warn, *, in_torch: bool = False
) -> Writer:
    """Open a model as `load` does, or `in_torch` whatever the device."""
    from penwright.dataset.training_text import KeptIndex

    opened = open_source(choose_model(model, warn), config, warn, in_torch=in_torch)
    return Writer(
        opened.name,
        opened.path,
        opened.source,
        opened.open_model,
        opened.tokenizer,
        opened.format.get("prompt_format"),
        tuple(opened.format.get("sections", ())),
        opened.format.get("template"),
        Drafter(KeptIndex(opened.path)) if config.drafts == "auto" else None,
    )


def generate(
    model: str | Path | None, prompt: str | Sequence[str] = "", n: int = 1, **options: Any
) -> list[Sample]:
    """Write `n` texts for each prompt with a model given by name; see `Writer.generate`."""
    return load(model).generate(prompt, n, **options)


def _strip(text: Sample) -> Sample:
    """Strip white space at the ends; the space after a prompt belongs between the two."""
    return replace(text, text=text.text.rstrip() if text.prompt else text.text.strip())

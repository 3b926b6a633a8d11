"""The recipes that come along, and how the file of one is read. No torch.

A recipe is a TOML file that `finetune --config` takes, with a table [recipe] that it passes over:

    about               its task in a few words
    system              the number of the published system that it repeats, if it repeats one
    data                its bundled sample, a path below the samples (held_out_data likewise)
    takes               in words, what data of one's own must be
    formats, columns    the same for the program; none where any will do
    [recipe.sample]     what else `finetune` is given with the bundled sample: it is small
    [recipe.base]       and with the bundled model: it is small too
    [recipe.new]        makes a tokenizer and an untrained model first: options of `tokenizer train`
                        and `new`
    [recipe.keywords]   the data is a table of titles, to be given keywords by these options first
    [[recipe.measure]]  what `evaluate` is to measure afterwards, by its own options
    [[recipe.write]]    what is written at the end: `Writing`
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import penwright
from penwright.config import (
    DataConfig,
    EvaluateConfig,
    FinetuneConfig,
    GenerateConfig,
    KeywordsConfig,
    NewConfig,
    TokenizerConfig,
    build,
)
from penwright.config.fields import RECIPE, check_options, load_toml
from penwright.errors import DataError, UsageError, suggest
from penwright.formats import Choice, describe, detect
from penwright.formats.catalog import find_inputs
from penwright.formats.selection import CATEGORY_NAMES

PACKAGE = Path(penwright.__file__).parent
SAMPLES = PACKAGE / "assets" / "samples"
_OPTIONS = {
    "title": "text_column",
    "category": "category_column",
    "prompt": "prompt_column",
    "completion": "completion_column",
}
"""The option that names each column."""
_TABLES = ("sample", "base", "new", "keywords", "measure", "write")

On = Literal["held out", "data"]


@dataclass(frozen=True, kw_only=True)
class Writing:
    """One text of a recipe's writing, shown under `title`.

    From the prompts that are given, or from those of the first `documents` that were held out or
    learned, whose own text is shown as well; with `untrained` beside what the model wrote before.
    """

    title: str = ""
    documents: int = 0
    on: On = "held out"
    untrained: bool = False
    generate: GenerateConfig = field(default_factory=GenerateConfig)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Measurements before and after training, on held-out documents or on the training data."""

    on: On = "held out"
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)


@dataclass(frozen=True, kw_only=True)
class About:
    """The keys of the table [recipe] that are not tables themselves."""

    system: int | None = None
    about: str
    data: str
    held_out_data: tuple[str, ...] = ()
    takes: str
    formats: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """A recipe's file, read and checked."""

    name: str
    path: Path
    about: About
    options: Mapping[str, Any]
    """Options of `finetune` for any data and model."""
    sample: Mapping[str, Any]
    base: Mapping[str, Any]
    new: Mapping[str, Any] | None
    """Options of `new`, and `vocab_size`: the model is made first, unless one is named."""
    keywords: Mapping[str, Any] | None
    measure: tuple[Measure, ...]
    write: tuple[Writing, ...]

    def finetune_options(
        self, *, with_data: bool, with_model: bool, resume: bool = False
    ) -> dict[str, Any]:
        """Return the options of `finetune`, by whether the user names data and a model.

        A run that is resumed has its options.
        """
        if resume:
            return {}
        options = dict(self.options)
        if not with_model and self.new is None:
            options |= {"model": "base", **self.base}
        if not with_data:
            options |= self.sample
            if self.about.held_out_data:
                options["held_out_data"] = tuple(_samples(self.about.held_out_data))
        return options

    def with_prompts(self, prompts: Sequence[str]) -> Recipe:
        """Return this recipe, writing from `prompts` where there are any.

        Raises UsageError for a recipe that writes to keywords.
        """
        if not prompts:
            return self
        if self.keywords is not None:
            raise UsageError(
                f"The recipe '{self.name}' writes to keywords, not from prompts.",
                fix="Ask its run afterwards: penwright generate RUN --keywords 'goose, library'.",
            )
        write = (
            replace(one, documents=0, generate=replace(one.generate, prompt=tuple(prompts)))
            for one in self.write
        )
        return replace(self, write=tuple(write))

    def sample_data(self) -> list[str]:
        """Return the bundled data."""
        return _samples([self.about.data])

    def check(self, paths: Sequence[str | Path], config: FinetuneConfig) -> None:
        """Raise DataError, naming the recipe and the file, for data that it cannot use.

        UsageError where the data is a table that the recipe divides itself.
        """
        if self.keywords is not None and config.held_out_data:
            raise UsageError(
                f"The recipe '{self.name}' holds rows of the table out itself.",
                fix="Give a share with --held-out instead of --held-out-data.",
            )
        about = self.about
        mend = f"It takes {about.takes}."
        try:
            for item in find_inputs(paths, config.data.files):
                kind = "story" if item.members else detect(item.path)
                if about.formats and kind not in about.formats:
                    raise DataError(f"{item.path} is of the format {kind}.", fix=mend)
            for choice in describe(paths, self._table(config)).choices:
                self._check_columns(choice, config)
        except DataError as error:
            raise self.refusal(error) from None

    def keyword_columns(self, path: str, config: FinetuneConfig) -> dict[str, str]:
        """Return the columns with titles and categories, as options of `keywords encode`.

        The options name them, or they have a known name; a table of one column has titles alone.
        """
        (choice,) = describe([path], self._table(config)).choices
        if len(choice.columns) == 1:
            return {}
        category = _category(choice, config)
        title = config.data.text_column or "title"
        return {"title_field": title, **({"category_field": category} if category else {})}

    def _table(self, config: FinetuneConfig) -> DataConfig:
        """Return the data options for looking at a table, without sections that it gets later."""
        return config.data if self.keywords is None else replace(config.data, learn=())

    def _check_columns(self, choice: Choice, config: FinetuneConfig) -> None:
        """Raise DataError when a table of several columns lacks one of the recipe's."""
        names = choice.columns
        for column in self.about.columns if len(names) > 1 else ():
            option = _OPTIONS[column]
            wanted = getattr(config.data, option) or column
            if column == "category":
                wanted = _category(choice, config) or wanted
            if wanted not in names:
                raise DataError(
                    f"{choice.path} has no column '{wanted}'; it has {', '.join(names)}.",
                    fix=f"Name the one to take with --{option.replace('_', '-')}.",
                )

    def refusal(self, error: DataError) -> DataError:
        """Return `error` as one about this recipe, with the data it takes as the last remedy."""
        if error.message.startswith("The recipe"):
            return error
        fix = error.fix or f"It takes {self.about.takes}."
        return DataError(f"The recipe '{self.name}' cannot use this: {error.message}", fix=fix)


def list_recipes() -> list[Recipe]:
    """Return the bundled recipes, in the order of the systems that they stand in for."""
    found = [_read(path) for path in _folder().glob("*.toml")]
    return sorted(found, key=lambda recipe: (recipe.about.system or math.inf, recipe.name))


def read_recipe(name: str | Path) -> Recipe:
    """Read a recipe by its name, or by the path of its file; raises UsageError."""
    text = str(name)
    if text.endswith(".toml"):
        return _read(Path(text))
    path = _folder() / f"{text}.toml"
    known = sorted(path.stem for path in _folder().glob("*.toml"))
    if text not in known:
        raise UsageError(
            f"There is no recipe '{text}'.",
            fix=suggest(text, known) or f"There is: {', '.join(known)}.",
        )
    return _read(path)


def _category(choice: Choice, config: FinetuneConfig) -> str | None:
    """Return the category's column: the one that is named, or the first with a known name."""
    if config.data.category_column is not None:
        return config.data.category_column
    return next((name for name in choice.columns if name.lower() in CATEGORY_NAMES), None)


def _folder() -> Path:
    """Return the recipes' folder: in the installed package, or beside it in a checkout."""
    installed = PACKAGE / "assets" / "recipes"
    return installed if installed.is_dir() else PACKAGE.parent.parent / "recipes"


def _samples(names: Sequence[str]) -> list[str]:
    return [str(SAMPLES / name) for name in names]


def _read(path: Path) -> Recipe:
    content = load_toml(path)
    if not isinstance(content.get(RECIPE), dict):
        raise UsageError(f"{path} has no table [recipe].", fix="See those of `penwright recipe`.")
    table: dict[str, Any] = content.pop(RECIPE)
    tables = {name: table.pop(name) for name in _TABLES if name in table}
    lacking = {"about", "data", "takes"} - table.keys()
    if lacking:
        raise UsageError(f"{path}: [recipe] lacks {', '.join(sorted(lacking))}.")
    keywords, new = tables.get("keywords"), tables.get("new")
    return Recipe(
        path.stem,
        path,
        About(**check_options(path, table, About)),
        check_options(path, content, FinetuneConfig),
        check_options(path, tables.get("sample", {}), FinetuneConfig),
        check_options(path, tables.get("base", {}), FinetuneConfig),
        None if new is None else _check_new(path, new),
        None if keywords is None else check_options(path, keywords, KeywordsConfig),
        tuple(_build(path, one, Measure) for one in tables.get("measure", [{}])),
        tuple(_build(path, one, Writing) for one in tables.get("write", ())),
    )


def _check_new(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Check the options of a model to make: the vocabulary's size is the tokenizer's."""
    vocabulary = {key: table[key] for key in table if key.replace("-", "_") == "vocab_size"}
    shape = {key: value for key, value in table.items() if key not in vocabulary}
    return check_options(path, vocabulary, TokenizerConfig) | check_options(path, shape, NewConfig)


def _build(path: Path, options: dict[str, Any], cls: type[Any]) -> Any:
    return build(cls, check_options(path, options, cls))

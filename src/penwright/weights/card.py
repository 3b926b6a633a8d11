"""The model card: what a model was made from, how, and how well it does. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def model_card(
    name: str,
    *,
    base_model: str,
    data: Sequence[str] = (),
    documents: int | None = None,
    tokens: int | None = None,
    settings: Mapping[str, Any] | None = None,
    perplexity_before: float | None = None,
    perplexity_after: float | None = None,
    held_out: str = "documents that were kept from training",
) -> str:
    """Return the text of README.md: the base model, names and counts of the data, never its text.

    `data` are file names, `settings` the hyper-parameters to list; what is None is left out.
    """
    lines = ["---", "pipeline_tag: text-generation", "tags:", "- penwright", "- gpt2"]
    if base_model != "base" and "\n" not in base_model and _is_hub_name(base_model):
        lines.append(f"base_model: {_yaml(base_model)}")
    lines += ["---", f"# {_one_line(name)}", ""]
    lines.append(f"Made with Penwright by fine-tuning `{_one_line(base_model)}`.")
    if data or documents is not None or tokens is not None:
        lines += ["", "## Data", ""]
        lines += [f"- `{_one_line(file)}`" for file in data]
        counts = [
            f"{n:,} {word}" for n, word in ((documents, "documents"), (tokens, "tokens")) if n
        ]
        lines += [f"- {', '.join(counts)}"] if counts else []
    if perplexity_before is not None or perplexity_after is not None:
        lines += ["", "## How well it does", "", f"Perplexity on {held_out}:", ""]
        lines += ["| before | after |", "| --- | --- |"]
        lines.append(f"| {_figure(perplexity_before)} | {_figure(perplexity_after)} |")
    if settings:
        lines += ["", "## How it was trained", "", "| setting | value |", "| --- | --- |"]
        lines += [f"| {_cell(key)} | {_cell(value)} |" for key, value in settings.items()]
    lines += ["", "## Use", "", "```", f"penwright generate {_one_line(name)}", "```", ""]
    lines.append("The folder also opens in transformers as it stands.")
    lines += ["", "## Mind", "", MIND]
    return "\n".join(lines) + "\n"


MIND = (
    "Everything this model writes is **machine-written**. It can be wrong, silly, hurtful, or "
    "repeat what it was trained on word for word. Say so where you publish its text."
)


def _is_hub_name(name: str) -> bool:
    return (
        all(part and not part.startswith(".") for part in name.split("/")) and name.count("/") < 2
    )


def _one_line(value: object) -> str:
    return " ".join(str(value).split()).replace("`", "'")


def _cell(value: object) -> str:
    return _one_line(value).replace("|", "\\|")


def _yaml(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"

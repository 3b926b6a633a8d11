"""Sections with the model's texts: samples by step, the end of a recipe, copied text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from penwright.report.page import Chapter, Html, fold, html, page, table
from penwright.report.read import RecipeOutcome, RecipeText, RunData, SavedSample, Snapshot
from penwright.report.series import spread
from penwright.report.story import RunFacts
from penwright.wording import amount, count

_MOST_SNAPSHOTS = 8
_LEAVES_IN_VIEW = 4
_PROMPTS_SHOWN = 4
_MOST_PROMPTS = 40
_LONGEST_TEXT = 3000
_LONGEST_OPENING = 120
_FINISHES = {
    "end": "ended by itself",
    "stop": "ended at a stop text",
    "length": "cut off at the longest allowed",
}


def samples(data: RunData, facts: RunFacts) -> Html:
    """Return a row of samples for each prompt, oldest first; long lists are folded or shortened."""
    shown = pick(data.snapshots, facts.best.step if facts.best else None)
    prompts = list_prompts(shown)
    strips = [_strip(key, shown, data, facts) for key in prompts[:_MOST_PROMPTS]]
    folded = strips[_PROMPTS_SHOWN:]
    return html(
        '<p class="note">{note}</p>\n{strips}{more}',
        note=_note(data, shown, prompts),
        strips=strips[:_PROMPTS_SHOWN],
        more=fold(f"{count(len(folded), 'more prompt')}", folded) if folded else "",
    )


def pick(snapshots: Sequence[Snapshot], best: int | None) -> list[Snapshot]:
    """Choose at most eight snapshots, among them the first, the last and the best step's."""
    kept = {snapshots[index].step for index in spread(len(snapshots), _MOST_SNAPSHOTS)}
    chosen = [item for item in snapshots if item.step in kept or item.step == best]
    if len(chosen) > _MOST_SNAPSHOTS:
        inner = [item for item in chosen[1:-1] if item.step != best]
        chosen.remove(inner[len(inner) // 2])
    return chosen


def list_prompts(snapshots: Sequence[Snapshot]) -> list[tuple[str, int]]:
    """List the prompts, each with its index among equal ones, by first appearance."""
    found: dict[tuple[str, int], None] = {}
    for snapshot in snapshots:
        for key in _by_prompt(snapshot):
            found[key] = None
    return list(found)


def _by_prompt(snapshot: Snapshot) -> dict[tuple[str, int], SavedSample]:
    found: dict[tuple[str, int], SavedSample] = {}
    for sample in snapshot.samples:
        repeat = sum(prompt == sample.prompt for prompt, _ in found)
        found[sample.prompt, repeat] = sample
    return found


def _note(data: RunData, shown: Sequence[Snapshot], prompts: Sequence[tuple[str, int]]) -> str:
    said = ["The same prompts with the same seeds each time, so only the model has changed."]
    if len(shown) < len(data.snapshots):
        said.append(
            f"{len(shown)} of {len(data.snapshots):,} times are shown; the samples folder has all."
        )
    if len(shown) > _LEAVES_IN_VIEW:
        said.append("Scroll a row sideways for the steps between.")
    if len(prompts) > _MOST_PROMPTS:
        said.append(f"{_MOST_PROMPTS} of {len(prompts):,} prompts are shown.")
    said.append("What is underlined is the prompt; all the rest is machine-written.")
    return " ".join(said)


def _strip(
    key: tuple[str, int], snapshots: Sequence[Snapshot], data: RunData, facts: RunFacts
) -> Html:
    prompt, repeat = key
    found = [
        (snapshot.step, sample)
        for snapshot in snapshots
        if (sample := _by_prompt(snapshot).get(key)) is not None
    ]
    leaves = [
        _leaf(sample, step, f"{place} / {len(found)}", data, facts)
        for place, (step, sample) in enumerate(found, 1)
    ]
    name = shorten(prompt, 60) if prompt.strip() else "no prompt"
    again = f" (sample {repeat + 1})" if repeat else ""
    title = "none, from the start of a text"
    if prompt.strip():
        title = shorten(prompt.strip(), _LONGEST_TEXT)
    return html(
        '<article class="strip"><h3><span class="what">Prompt{again}</span> '
        '<span dir="auto">{title}</span></h3>\n'
        '<div class="scroll" tabindex="0" role="region" aria-label="Samples: {name}{again}">'
        '<ol class="leaves">\n{leaves}</ol></div></article>\n',
        title=title,
        again=again,
        name=name,
        leaves=leaves,
    )


def _leaf(sample: SavedSample, step: int, place: str, data: RunData, facts: RunFacts) -> Html:
    when = f"after step {step:,}" if step else "before training"
    scores = [item for item in data.evaluations if item.step == step and item.perplexity]
    about = [f"perplexity {amount(item.perplexity or 0)}" for item in scores[-1:]]
    if facts.best and step and facts.best.step == step:
        about.append("best")
    return html(
        '<li class="leaf"><h4>{when} <span class="place">{place}</span></h4>'
        '<p class="about">{about}</p>'
        '<p class="text" dir="auto"><span class="given">{opening}</span>{text}</p>'
        '<p class="ending">{ending}</p></li>\n',
        when=when,
        place=place,
        about=" · ".join(about),
        opening=_opening(sample.prompt),
        text=shorten(sample.text, _LONGEST_TEXT),
        ending=_FINISHES.get(sample.finish_reason, sample.finish_reason),
    )


def _opening(prompt: str) -> str:
    """Return a prompt, or the end of a long one."""
    if len(prompt) <= _LONGEST_OPENING:
        return prompt
    return "… " + prompt[-_LONGEST_OPENING // 2 :].partition(" ")[2]


def shorten(text: str, most: int) -> str:
    """Cut a text to `most` characters, with […] where it was cut."""
    return text if len(text) <= most else text[:most].rstrip() + " […]"


def recipe_outcome(found: RecipeOutcome) -> Html:
    """Return a table of the recipe's figures, and its texts by prompt."""
    names = list(dict.fromkeys(who for row in found.figures for who, _ in row.beside))
    rows = [
        (row.name, row.before, row.after, *(dict(row.beside).get(who, "") for who in names))
        for row in found.figures
    ]
    folds = [
        fold(title or "What it wrote", [*_texts_by_prompt([*texts])], is_open=number == 0)
        for number, (title, texts) in enumerate(groupby(found.texts, lambda text: text.title))
    ]
    return html(
        '{figures}<p class="note">In brackets: 95 % intervals over documents.</p>\n{folds}',
        figures=table("Before and after the training", ("", "before", "after", *names), rows),
        folds=folds,
    )


def _texts_by_prompt(texts: list[RecipeText]) -> Iterator[Html]:
    """Yield the texts of each prompt; one that continues the previous shows only its end."""
    before = ""
    for prompt, group in groupby(texts, lambda text: text.prompt):
        new = prompt.removeprefix(before) if before else prompt
        yield html(
            '<p class="text" dir="auto"><span class="given">{prompt}</span></p>\n{texts}',
            prompt=new if new == prompt else f"… {new.strip()}",
            texts=[
                html(
                    '<p class="about">{who}</p><p class="text" dir="auto">{text}</p>\n',
                    who=one.who,
                    text=one.text.strip()[:_LONGEST_TEXT],
                )
                for one in group
            ],
        )
        before = prompt


_MOST = 500  # texts of the page


def copied_page(found: Mapping[str, Any]) -> str:
    """Return the whole page of `penwright copied --html`, given its JSON."""
    head = html(
        '<p class="kicker"><b>Penwright</b> · copied text</p><h1>{name}</h1>\n'
        '<p class="lede">{lede}</p>',
        name=found["run"],
        lede=summary(found),
    )
    chapters = [
        Chapter("figures", "Figures", "How much", figures(found)),
        Chapter("texts", "Texts", "Which spans, and from where", texts(found, _MOST)),
    ]
    return page(
        title=f"{found['run']} · copied text · Penwright",
        description=summary(found),
        header=head,
        sections=chapters,
        footer="Written by Penwright. The texts are machine-written; their sources are not. "
        "This page loads nothing from the network.",
    )


def copied_text(found: Mapping[str, Any]) -> Html:
    """Return the report's chapter: the figures, and the texts that copied most."""
    said = html('<p class="say">{words}</p>\n', words=summary(found))
    return html("{said}{figures}{texts}", said=said, figures=figures(found), texts=texts(found, 6))


def summary(found: Mapping[str, Any]) -> str:
    """Return one sentence: how much is copied, and whether people's text has as much."""
    share = f"{found['share']:.1%}" if found["share"] else "None"
    said = f"{share} of what it wrote stands word for word in the training text"
    human = found["held_out"]
    if human is None:
        return said + "."
    return f"{said}; of held-out text that people wrote, {human['share']:.1%} does."


def figures(found: Mapping[str, Any]) -> Html:
    """Return the table of figures, the samples' beside held-out text's."""
    samples = found["samples"]
    rows: list[Sequence[object]] = [
        ("this model's", f"{len(samples):,}", f"{found['share']:.1%}", _tokens(found["longest"]))
    ]
    if human := found["held_out"]:
        row = ("held out", f"{human['texts']:,}", f"{human['share']:.1%}")
        rows.append((*row, _tokens(human["longest"])))
    note = (
        f"A span counts from {count(found['min_tokens'], 'token')} that hold a letter or a digit. "
        "Stock phrases are normal in a genre: compare with the held-out text."
    )
    return html(
        '{table}<p class="note">{note}</p>\n',
        table=table("Copied text", ("texts", "number", "copied", "longest span"), rows),
        note=note,
    )


def texts(found: Mapping[str, Any], most: int) -> Html:
    """Return the texts with their copied spans marked, those that copied most first."""
    samples = sorted(found["samples"], key=lambda sample: -float(sample["share"]))
    copying = [sample for sample in samples if sample["spans"]]
    clean = [sample for sample in samples if not sample["spans"]]
    parts = [_text(sample) for sample in copying[:most]]
    said = []
    if len(copying) > most:
        said.append(f"{count(len(copying) - most, 'more text')} with copied spans left out here.")
    if clean:
        parts.append(
            fold(
                f"{count(len(clean), 'text')} without a copied span", list(map(_text, clean[:most]))
            )
        )
    if not copying:
        said.append(f"No text has a span of {count(found['min_tokens'], 'token')} that is copied.")
    return html(
        "{said}{parts}", said=[html('<p class="note">{s}</p>', s=s) for s in said], parts=parts
    )


def _text(sample: Mapping[str, Any]) -> Html:
    text, spans = sample["text"], sample["spans"]
    pieces, at = [], 0
    for number, span in enumerate(spans, 1):
        start = max(at, span["start"])
        pieces.append(html("{text}", text=text[at:start]))
        pieces.append(
            html(
                "<mark>{text}</mark><sup>{number}</sup>",
                text=text[start : span["end"]],
                number=number,
            )
        )
        at = max(at, span["end"])
    pieces.append(html("{text}", text=text[at:]))
    return html(
        '<article class="copied"><div class="wrote"><h3>{title}</h3>'
        '<p dir="auto"><span class="prompt">{prompt}</span>{pieces}</p></div>'
        '<ol class="sources">{sources}</ol></article>\n',
        title=f"{sample['share']:.0%} copied",
        prompt=sample["prompt"],
        pieces=pieces,
        sources=[_source(span, text) for span in spans],
    )


def _source(span: Mapping[str, Any], text: str) -> Html:
    return html(
        '<li><b>{place}</b> <span class="what">{tokens}</span>'
        '<p dir="auto">{before}<mark>{span}</mark>{after}</p></li>',
        place=span["source"],
        tokens=_tokens(span["tokens"]),
        before=span["before"],
        span=text[span["start"] : span["end"]],
        after=span["after"],
    )


def _tokens(number: int) -> str:
    return count(number, "token")

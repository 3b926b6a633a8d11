"""The header and the text sections of a run's report."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from penwright.report.options_table import list_settings, setting_rows
from penwright.report.page import Html, command, definitions, flags, fold, html, unbroken
from penwright.report.read import RunData, number
from penwright.report.series import Series, quantile
from penwright.report.story import STATUSES, RunFacts, headline, remarks
from penwright.wording import amount, count, data_size, duration, large

_FILES_SHOWN = 6
_WAYS_SHOWN = 3
_TOLD = {"paths", "files", "reading", "documents", "tokens", "learned", "training"}
_TOLD |= {"held_out", "fingerprint"}

_MONTHS = "January February March April May June July August September October November December"


def header(data: RunData, facts: RunFacts) -> Html:
    """Return the run's name, status, headline, remarks and key figures."""
    sign, word = STATUSES.get(facts.status, ("·", facts.status))
    notes = [html("<li>{remark}</li>", remark=flags(remark)) for remark in remarks(data, facts)]
    return html(
        '<p class="kicker"><b>Penwright</b> run report</p>\n<h1 dir="auto">{name}</h1>\n'
        '<p class="status"><span class="sign {status}" aria-hidden="true">{sign}</span> {word}'
        "{when}</p>\n"
        '<p class="lede">{lede}</p>\n{notes}{facts}',
        name=data.name,
        status=facts.status if facts.status in STATUSES else "other",
        sign=sign,
        word=word,
        when=_when(data),
        lede=headline(facts),
        notes=html('<ul class="remarks">{notes}</ul>\n', notes=notes) if notes else "",
        facts=definitions(_key_facts(data, facts)),
    )


def _when(data: RunData) -> str:
    created = moment(data.run.get("created"))
    return f" · begun {created}" if created else ""


def _key_facts(data: RunData, facts: RunFacts) -> list[tuple[str, object]]:
    curves = data.curves
    epochs = curves.get("epoch", Series()).finite()[-1:]
    seen = curves.get("tokens_seen", Series()).finite()[-1:]
    speed = curves.get("tokens_per_s", Series()).finite()
    share = curves.get("mfu_percent", Series()).finite()
    memory = curves.get("memory_mb", Series()).finite()
    steps = f"{facts.steps:,}"
    if facts.planned and facts.planned != facts.steps:
        steps += f" of {facts.planned:,}"
    if epochs:
        steps += f" ({epochs[0]:.2g} epochs)"
    return [
        ("Model", model_words(data)),
        ("Steps", steps),
        ("Time", None if facts.seconds is None else unbroken(duration(facts.seconds))),
        ("Read", f"{large(seen[0])} tokens" if seen else None),
        ("Speed", f"{quantile(speed, 0.5):,.0f} tokens/s" if speed else None),
        ("MFU", f"{quantile(share, 0.5):.0f} %" if share else None),
        ("Memory", f"{data_size(max(memory) * 1e6)} at most" if memory else None),
    ]


def model_words(data: RunData) -> str:
    """Return a description such as `base, 6.97 million parameters`."""
    model = data.part("model")
    size = number(model.get("n_parameters"))
    words = [str(model["name"])] if model.get("name") else []
    words += [f"{large(size)} parameters"] if size else []
    return ", ".join(words)


def perplexity(facts: RunFacts) -> Html:
    """Return perplexity before and after as bars; empty unless both are known."""
    before, after = facts.before, facts.after
    if before is None or after is None or max(before, after) <= 0:
        return Html("")
    word = "after" if facts.status == "finished" else "so far"
    rows = [
        html(
            '<div class="bar {kind}"><dt>{word}</dt><dd>'
            '<span class="fill" style="width:{width}%"></span><b>{value}</b></dd></div>\n',
            kind=kind,
            word=label,
            width=f"{max(0.5, 100 * value / max(before, after)):.1f}",
            value=amount(value),
        )
        for kind, label, value in (("before", "before", before), ("after", word, after))
    ]
    return html(
        '<dl class="bars">{rows}</dl>\n<p class="note">Perplexity is the number of equally '
        "likely tokens that the model might as well guess among, at each place of a text it was "
        "not trained on: about {before} before, about {after} {word}. Lower is better.</p>\n",
        rows=rows,
        before=_whole(before),
        after=_whole(after),
        word=word,
    )


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else amount(value)


def data_summary(data: RunData) -> Html:
    """Return the section on training data and held-out data; empty if nothing is known."""
    part = data.part("data")
    if not part:
        return Html("")
    tokens, held = number(part.get("tokens")), _counts(part.get("held_out"))
    rows: list[tuple[str, object]] = [
        ("Documents", _number_words(part.get("documents"))),
        ("Tokens", _number_words(tokens)),
        ("Learned", _learned(number(part.get("learned")), tokens)),
        ("Trained on", _both(_counts(part.get("training")), "")),
        ("Held out", _both(held, "nothing")),
        *((spaced(key).capitalize(), plain(part[key])) for key in part if key not in _TOLD),
    ]
    fingerprint = part.get("fingerprint")
    if fingerprint:
        short = html('<span class="print">{print}</span>', print=str(fingerprint)[:16])
        rows.append(("Fingerprint", short))
    return html(
        "{files}{reading}{share}{rows}",
        files=_files(_listed(part.get("files"))),
        reading=_reading(_listed(part.get("reading"))),
        share=_share(tokens, held[1]),
        rows=definitions(rows),
    )


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _counts(value: object) -> tuple[float | None, float | None]:
    """Return the numbers of documents and tokens in a split of the data."""
    if not isinstance(value, Mapping):
        return None, None
    return number(value.get("documents")), number(value.get("tokens"))


def _number_words(value: object) -> str:
    known = number(value)
    return "" if known is None else count(known)


def _learned(learned: float | None, tokens: float | None) -> str:
    if learned is None:
        return ""
    if not tokens or learned > 0.995 * tokens:
        return count(learned)
    return f"{count(learned)} ({100 * learned / tokens:.3g} %); the rest is only read"


def _both(counts: tuple[float | None, float | None], otherwise: str) -> str:
    nouns = ("document", "token")
    said = [count(value, noun) for value, noun in zip(counts, nouns, strict=True) if value]
    return ", ".join(said) or otherwise


def _reading(choices: list[Any]) -> Html:
    """Return a note for each way in which files were read."""
    ways: dict[str, None] = {}
    for choice in choices:
        if isinstance(choice, Mapping) and choice.get("says"):
            kind = [str(choice[key]) for key in ("format", "encoding") if choice.get(key)]
            ways[f"Read as {', '.join(kind)}: {choice['says']}."] = None
    return html(
        "{ways}",
        ways=[html('<p class="note">{way}</p>\n', way=way) for way in list(ways)[:_WAYS_SHOWN]],
    )


def _share(tokens: float | None, held: float | None) -> Html:
    if not tokens or not held or held >= tokens:
        return Html("")
    share = 100 * held / tokens
    return html(
        '<p class="share" role="img" aria-label="{words}"><span class="train" '
        'style="width:{train}%"></span><span class="held" style="width:{held}%"></span></p>\n'
        '<p class="share-words"><span>trained on {train} %</span><span>held out {held} %</span>'
        "</p>\n",
        words=f"{100 - share:.1f} % of the tokens were trained on, {share:.1f} % held out",
        train=f"{100 - share:.1f}",
        held=f"{share:.1f}",
    )


def _files(files: list[Any]) -> Html:
    items = [html('<li dir="auto">{name}</li>', name=_file_name(item)) for item in files]
    shown = html('<ul class="files">{items}</ul>\n', items=items[:_FILES_SHOWN])
    if not items:
        return Html("")
    more = items[_FILES_SHOWN:]
    if not more:
        return shown
    rest = html('<ul class="files">{items}</ul>', items=more)
    return Html(shown + fold(f"{count(len(more), 'more file')}", rest))


def _file_name(item: object) -> str:
    if isinstance(item, Mapping):
        return str(item.get("path") or item.get("name") or plain(item))
    return str(item)


def settings(data: RunData) -> Html:
    """Return the options that were set, the plan made from them, and the other options."""
    given, rest = list_settings(data.part("config"))
    plan = {key: value for key, value in data.part("plan").items() if value not in (None, [], ())}
    parts = [
        fold(f"Set for this run ({len(given)})", setting_rows(given), is_open=True)
        if given
        else html('<p class="note">Every option was left at its default.</p>\n'),
    ]
    if plan:
        chosen = definitions(((spaced(key), plain(plan[key])) for key in plan), "facts plan")
        parts.append(fold("The plan that came of it", chosen, is_open=not given))
    if rest:
        parts.append(fold(f"Left at the default ({len(rest)})", setting_rows(rest)))
    return html("{parts}", parts=parts)


def machine(data: RunData) -> Html:
    """Return the section on machine, versions and model shape."""
    shape = data.part("model").get("config")
    versions = dict(data.part("versions"))
    if data.run.get("version"):
        versions = {"penwright": data.run["version"], **versions}
    parts = [
        ("Machine", _pairs(data.part("machine")), True),
        ("Versions", _pairs(versions), True),
        ("The model's shape", _pairs(shape if isinstance(shape, Mapping) else {}), False),
    ]
    return html(
        "{parts}",
        parts=[fold(title, body, is_open=is_open) for title, body, is_open in parts if body],
    )


def _pairs(values: Mapping[str, Any]) -> Html:
    rows = [(spaced(str(key)), plain(values[key])) for key in values if values[key] is not None]
    rows = [("processor" if name == "name" else name, words) for name, words in rows]
    return definitions(rows) if rows else Html("")


def next_steps(data: RunData, facts: RunFacts) -> Html:
    """Return the commands to type next, and the command that made the run."""
    line = command_line(data.run.get("command"))
    name = quoted(data.handle)
    parts: list[Html] = []
    if facts.status in ("interrupted", "failed"):
        parts += [_say("Continue exactly where it stood:"), command(resume_line(data))]
    if facts.status == "finished" or facts.after is not None:
        prompts = [sample.prompt for item in data.snapshots[-1:] for sample in item.samples]
        prompt = quoted(
            next((_first_words(prompt) for prompt in prompts if prompt.strip()), "Once")
        )
        parts += [
            _say("Let it write:"),
            command(f"penwright generate {name} --prompt {prompt} -n 3"),
            _say("See what it copied from your text, word for word:"),
            command(f"penwright copied {name} --html"),
            _say("Write together with it, line by line:"),
            command(f"penwright write {name}"),
        ]
        files = data.part("data")
        for file in (_listed(files.get("paths")) or _listed(files.get("files")))[:1]:
            parts += [
                _say("Measure it on other text, in place of this file:"),
                command(f"penwright evaluate {name} {quoted(_file_name(file))}"),
            ]
    if line:
        parts += [_say("The command that made this run:"), command(line)]
    return html("{parts}", parts=parts)


def _say(words: str) -> Html:
    return html('<p class="say">{words}</p>\n', words=words)


def _first_words(prompt: str) -> str:
    """Return the first line of a prompt, cut at a word if it is long."""
    line = prompt.strip().splitlines()[0]
    return line if len(line) <= 60 else line[:60].rpartition(" ")[0] or line[:60]


def command_line(value: object) -> str:
    """Return a command as one line, from a line or a list of words."""
    if isinstance(value, (list, tuple)):
        return " ".join(quoted(str(word)) for word in value)
    return value if isinstance(value, str) else ""


def resume_line(data: RunData) -> str:
    """Return the command that continues this run."""
    place = "--name" if data.handle == data.name else "--output-dir"
    return f"penwright finetune --resume {place} {quoted(data.handle)}"


def quoted(word: str) -> str:
    """Quote a word for a shell; with double quotes where they suffice, as in all shells."""
    if re.fullmatch(r"[\w./:=@%+,-]+", word):
        return word
    if word and not re.search(r'["$`\\!]', word) and word.isprintable():
        return f'"{word}"'
    return shlex.quote(word)


def moment(stamp: object) -> str:
    """Format an ISO 8601 time as `21 November 2025, 03:57`; return other texts unchanged."""
    if not isinstance(stamp, str):
        return ""
    try:
        time = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{time.day} {_MONTHS.split()[time.month - 1]} {time.year}, {time:%H:%M}"


def plain(value: object) -> str:
    """Format a JSON value as text."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value) or "none"
    return str(value)


def spaced(key: str) -> str:
    """Return `micro batch` for `micro_batch`."""
    return key.replace("_", " ")

"""Make what is not written by hand: docs/reference.md, docs/benchmarks.md, README's figures.

python tools/make_pages.py     (tests/test_pages.py compares)
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_origin

from cyclopts import App

import penwright
from penwright.cli import VERBS, make_app
from penwright.cli.options import DEFAULTS, GROUPS, SHORT

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SHARED = list(GROUPS.values())
"""Headings of options that several verbs have."""

HEAD = """\
# Reference

Every command with its options, and every name of the Python package, as the code has them
(`tools/make_pages.py` writes this page). `--help` after a command shows its part.

- An option of a list (`--mix 0.7,0.3`) takes commas, or is given several times.
- In a TOML file for `--config` and as an argument in Python, an option has the same name without
  dashes at its beginning: `--batch-size 4`, `batch-size = 4`, `batch_size=4`.
- `-n` is `--n`, `-o` is `--output`. A text may hold `\\n` for a new line.
"""


def make_reference() -> str:
    """Return the page of all verbs, options and Python names."""
    app = make_app()
    shared: dict[str, dict[str, list[str]]] = {heading: {} for heading in SHARED}
    parts = [HEAD]
    for group, verbs in VERBS.items():
        parts.append(f"## {group}\n")
        for verb in verbs:
            command: App = app
            for word in verb.split():
                command = command[word]
            parts.append(_verb(verb, command, shared))
    parts.append("## Options of several commands\n")
    for heading, rows in shared.items():
        parts.append(f"### {heading}\n\n{_table(['Option', 'Default', ''], rows.values())}\n")
    parts.append(_names())
    return "\n".join(parts)


def _verb(verb: str, command: App, shared: dict[str, dict[str, list[str]]]) -> str:
    """Return the section of one verb; collects the options that it shares in `shared`."""
    about = inspect.cleandoc(command.help).partition("\nParameters\n")[0].strip()
    words: list[str] = []
    own: list[list[str]] = []
    also: list[str] = []
    for argument in command.assemble_argument_collection(parse_docstring=True):
        if argument.names == ("*",):
            continue
        row = _row(argument)
        heading = argument.parameter.group[0].name
        if argument.index is not None:
            word = argument.names[0].lstrip("-").upper()
            more = " ..." if get_origin(argument.hint) is tuple else ""
            words.append(f"{word}{more}" if argument.required else f"[{word}{more}]")
            row[0] = f"`{word}`"
            own.insert(len(words) - 1, row)
        elif heading in shared:
            shared[heading].setdefault(argument.names[0], row)
            also.append(heading)
        else:
            own.append(row)
    usage = " ".join([verb, *words, "[options]"])
    lines = [f"### {verb}\n", f"`{usage}`\n", about + "\n"]
    if own:
        lines.append(_table(["Option", "Default", ""], own) + "\n")
    if also:
        links = (f"[{heading}](#{_anchor(heading)})" for heading in SHARED if heading in also)
        lines.append(f"Also: {', '.join(links)}.\n")
    return "\n".join(lines)


def _row(argument: Any) -> list[str]:
    """Return the cells of one option: its names, default and help."""
    names = [name for name in argument.names if "--empty-" not in name]
    default = argument.field_info.default
    if argument.required or default is argument.field_info.empty:
        default = None
    if default is not True:  # a switch that is off has no use for its --no-
        names = [name for name in names if argument.hint is not bool or "--no-" not in name]
    names += [short for short, name in SHORT.items() if name in names]
    shown = "required" if argument.required else DEFAULTS.show_default(default) or ""
    text = " ".join((argument.parameter.help or "").split())
    if choices := argument.get_choices():
        text += f" One of: {', '.join(choices)}."
    return [", ".join(f"`{name}`" for name in names), f"`{shown}`" if shown else "", text]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and mkdocs make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _names() -> str:
    """Return the section of the public names of `penwright`."""
    lines = ["## Python\n", "[The Python API](python.md) shows them at work.\n"]
    for name in penwright.__all__:
        thing = getattr(penwright, name)
        about = (inspect.getdoc(thing) or "").partition("\n")[0]
        if not inspect.isclass(thing):
            lines.append(f"- `{name}{_signature(thing)}`: {about}")
            continue
        lines.append(f"- `{name}`: {about}")
        for member, value in vars(thing).items():
            text = (inspect.getdoc(value) or "").partition("\n")[0]
            if member.startswith("_") or not (inspect.isfunction(value) or _is_property(value)):
                continue
            call = _signature(value) if inspect.isfunction(value) else ""
            lines.append(f"    - `{member}{call}`: {text}")
    return "\n".join(lines) + "\n"


def _is_property(value: object) -> bool:
    return hasattr(type(value), "__get__") and not inspect.isfunction(value)


def _signature(function: Any) -> str:
    """Return a signature by names only, and `=` for what has a default."""
    shown = []
    for name, one in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        is_plain = isinstance(one.default, (str, int, float, tuple, type(None)))
        default = "" if one.default is one.empty else f"={one.default!r}" if is_plain else "=..."
        shown.append(f"{stars}{name}{default}")
    return f"({', '.join(shown)})"


BENCH_HEAD = """\
# Benchmarks

Every figure was printed by a script in `bench/`, which left its output in `bench/results`
(`tools/make_pages.py` makes this page of it). Processors of different kinds are never compared.
Beside ours stands what others take for the same work, measured in turn on the same machine.

To repeat one, install `.[dev,bench]` and run the command below its heading while nothing else runs.
`--keep` stores the result.
"""
HIDDEN = {
    "what", "when", "date", "machine", "instructions", "load", "versions", "torch", "python",
    "cores", "rounds", "losses", "native",
}  # fmt: skip
"""Entries of a result that describe the measurement, or are drawn together by others."""


def make_benchmarks() -> str:
    """Return the page of all results that the benches have kept."""
    parts = [BENCH_HEAD]
    for folder in sorted(path for path in RESULTS.iterdir() if path.is_dir()):
        parts.append(f"## {KINDS.get(folder.name, folder.name)}\n")
        parts += map(_bench, sorted(folder.glob("*.json")))
    return "\n".join(parts)


def _bench(path: Path) -> str:
    """Return the section of one result: what was measured, where, by which command, the figures."""
    result = json.loads(path.read_text("utf-8"))
    bench, _, case = path.stem.partition("-")  # the case is a model or a kind of load
    about, _, usage = ast.get_docstring(
        ast.parse((ROOT / "bench" / f"{bench}.py").read_text("utf-8"))
    ).partition("\n\n")
    commands = [line.strip() for line in usage.splitlines() if "python bench/" in line]
    command = next((one for one in commands if case and f" {case}" in one), commands[0])
    heads = [result, *(value for value in result.values() if isinstance(value, dict))]
    head = next((one for one in heads if "machine" in one), {})
    words = [head.get("what"), _machine(head.get("machine")), head.get("when")]
    lines = [f"### {path.stem}\n", " ".join(about.split()) + "\n"]
    lines.append("; ".join(str(word) for word in words if word) + ".\n")
    lines.append(f"```\n{command}\n```\n")
    if path.stem in ELSEWHERE:
        lines.append(ELSEWHERE[path.stem] + "\n")
    elif bench in TABLES:
        lines.append(TABLES[bench](result) + "\n")
    else:
        lines.append(_table(["Figure", "Value"], _flat(result)) + "\n")
    return "\n".join(lines)


def _machine(found: Any) -> str:
    """Return a machine in words; older results hold it as a dict."""
    return f"{found['system']}, {found['cores']} cores" if isinstance(found, dict) else found


def _flat(result: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the figures of a result by name, without what describes the measurement."""
    for name, value in result.items():
        if name in HIDDEN or isinstance(value, (list, bool)):
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}, ")
        else:
            text = _number(value) if isinstance(value, (int, float)) else str(value)
            yield f"{prefix}{name}".replace("_", " "), text


def _number(value: float) -> str:
    """Return a figure with three digits that count, and whole thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _writing(result: dict[str, Any]) -> str:
    """Return the tokens a second of each runtime, for each case."""
    cases = result["tokens_per_s"]
    names = list(dict.fromkeys(name for speeds in cases.values() for name in speeds))
    rows = (
        [name, *(_number(cases[c][name]) if name in cases[c] else "" for c in cases)]
        for name in names
    )
    return _table(["Tokens/s", *cases], rows)


def _training(result: dict[str, Any]) -> str:
    """Return speed and memory of a step, beside each peer in turn."""
    rows = []
    for peer, pair in result.items():
        if not isinstance(pair, dict) or "seconds_ratio" not in pair:
            continue
        for name, figures in pair.items():
            if isinstance(figures, dict):
                who = "transformers, " + name.removeprefix("peer-") if name == peer else name
                speed, memory = _number(figures["tokens_per_s"]), _number(figures["peak_mb"])
                rows.append([f"Penwright, {who}" if name != peer else who, speed, memory])
        rows.append(["ratio", _number(pair["seconds_ratio"]), _number(pair["memory_ratio"])])
    lines = [_table([result["what"], "Tokens/s", "Peak MB"], rows)]
    if "products" in result:
        share = result["products"]["share"]
        lines.append(f"Matrix products, timed alone in the same run, are {share:.0%} of a step.")
    if "beside_a_busy_process" in result:
        share = result["beside_a_busy_process"]["share"]
        lines.append(f"Beside a process that keeps all cores busy: {share:.0%} of the idle speed.")
    return "\n\n".join(lines)


def _memory(result: dict[str, Any]) -> str:
    """Return the peak of memory for each size and method, and what was predicted."""
    rows = []
    for name, figures in result.items():
        if isinstance(figures, dict) and "peak" in figures:
            both = (f"{figures[key] / 1e9:.2f} GB" for key in ("peak", "predicted"))
            rows.append([name, *both, f"{figures['seconds']:.0f} s"])
        elif isinstance(figures, dict) and "died" in figures:
            rows.append([name.replace("peer", "transformers"), "out of memory", "", ""])
    return _table(["Model and method", "Peak", "Predicted", "Two steps"], rows)


def _race(result: dict[str, Any]) -> str:
    """Return where each contender ended, and how long ours takes to that loss; and the plots."""
    rows, plots = [], []
    for data, found in result["data"].items():
        for who, part in found.items():
            if isinstance(part, dict) and "out_of_memory" in part:
                rows.append([f"{data} ({found['share']:.0%})", who, "out of memory", "", "", ""])
            elif isinstance(part, dict):
                cut = " (out of time)" if part["stopped_by_the_clock"] else ""
                ours, ratio = part.get("ours_reaches_it_after"), part.get("times_as_fast")
                row = [f"{part['seconds']:.0f} s{cut}", f"{part['loss']:.3f}"]
                row += [f"{ours:.1f} s", _number(ratio)] if ours and ratio else ["", ""]
                rows.append([f"{data} ({found['share']:.0%})", who, *row])
        size = result["model"].partition(",")[0]
        plots.append(f"![Held-out loss against seconds, {data}](images/race-{size}-{data}.svg)")
    head = ["Data", "", "Ends after", "Held-out loss", "Penwright is there after", "Times as fast"]
    return "\n\n".join([_table(head, rows), *plots])


def make_readme() -> str:
    """Return the README with the figures of today's results."""
    text = (ROOT / "README.md").read_text("utf-8")
    before, rest = text.split(FIGURES[0])
    return f"{before}{FIGURES[0]}\n\n{_summary()}\n\n{FIGURES[1]}{rest.split(FIGURES[1])[1]}"


def _summary() -> str:
    """Return the table of speed and memory for the README, of one kind of processor."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in SHOWN.glob("*.json")}
    train, memory = found["train"], found["memory"]
    rows = []
    for precision in ("bf16", "fp32"):
        ours, theirs = (train[f"peer-{precision}"][who] for who in ("full", f"peer-{precision}"))
        speeds = (f"{_number(one['tokens_per_s'])} tokens/s" for one in (ours, theirs))
        rows.append(["train 124M", *speeds, f"transformers, {precision}"])
        sizes = (f"{one['peak_mb'] / 1000:.1f} GB" for one in (ours, theirs))
        rows.append(["its peak of memory", *sizes, f"transformers, {precision}"])
    lean = f"{memory['1558M lean']['peak'] / 1e9:.1f} GB"
    rows.append(["train 1558M (`lean`)", lean, "more than 18 GB", "transformers, fp32"])
    single = found["generate"]["tokens_per_s"]["single"]
    for ours, theirs in (
        ("float32", "transformers float32"), ("float32", "llama.cpp f32"),
        ("int8", "llama.cpp q8_0"), ("int8", "CTranslate2 int8"), ("int4", "llama.cpp q4_0"),
    ):  # fmt: skip
        speeds = (f"{_number(single[n])} tokens/s" for n in (f"penwright {ours}", theirs))
        rows.append([f"write with 124M, {ours}", *speeds, theirs])
    encode = found["encode"]
    speeds = (f"{encode[n]['megabytes_per_s']:.0f} MB/s" for n in ("ours", "tiktoken"))
    rows.append(["encode text", *speeds, "tiktoken"])
    table = _table(["", "Penwright", "Beside it", ""], rows)
    where = f"On {found['generate']['machine']} ({KINDS[SHOWN.name].lower()})"
    return f"{table}\n\n{where}. [Benchmarks](docs/benchmarks.md) has the commands."


def main() -> None:
    """Write the pages."""
    for path, make in PAGES.items():
        path.write_text(make(), encoding="utf-8", newline="\n")


PAGES = {
    DOCS / "benchmarks.md": make_benchmarks,
    DOCS / "reference.md": make_reference,
    ROOT / "README.md": make_readme,
}
"""The pages and the functions that make them."""
FIGURES = "<!-- figures: tools/make_pages.py -->", "<!-- end of figures -->"
SHOWN = ROOT / "bench" / "results" / "avx512_bf16"
"""The results that the README shows."""
RESULTS = ROOT / "bench" / "results"
KINDS = {
    "avx512_bf16": "Processors with AVX-512 and BF16",
    "avx512": "Processors with AVX-512",
    "avx2": "Processors with AVX2",
    "neon": "ARM processors",
    "cuda": "NVIDIA GPUs",
}
"""Headings of the folders of results."""
TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "generate": _writing, "memory": _memory, "race": _race, "train": _training,
}  # fmt: skip
"""Results that have a table of their own; of others each figure is a line."""
ELSEWHERE = {
    "scale": "The figures are in [Large data](scale.md).",
    "runtimes": "The figures stand in [Opening and exporting models](runtimes.md#accuracy).",
    "systems": "The figures stand in [Recipes](systems.md#measurements).",
}
"""Results that another page shows."""


if __name__ == "__main__":
    main()

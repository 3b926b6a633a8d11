"""Titles into texts with keywords: a second's rows, beside a plain loop with the same extraction.

    python bench/keywords.py TABLE --title title [--category subreddit] [--extractor yake]
        [--workers N] [--rounds 3] [--model RUN --samples 100 --temperature 0.8] [--json]

The plain loop is one process that reads the table with csv, finds the keywords of one row after
another with the same extractor, and writes the same number of lines. Both are timed from the first
row to the last line on disk, in processes of their own, in turn. Then every line is decoded and
compared with its row. With --model the share of samples that hold all their keywords is measured:
keywords of rows drawn by chance, and beside it the share that hold those of another sample.
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import keeping
from penwright.config import KeywordsConfig, SamplingConfig, WorkConfig
from penwright.formats.keyword_extractors import choose_extractor, load_extractor
from penwright.formats.keyword_file import decode_file
from penwright.formats.keyword_table import encode
from penwright.sections import Marks, build_line, slug

WAYS = ("ours", "plain")
LONGEST = KeywordsConfig().keyword_length_max


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--title", default="title")
    parser.add_argument("--category")
    parser.add_argument("--extractor", default="auto")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--temperature", type=float, default=SamplingConfig().temperature)
    keeping.add_options(parser)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(run(arguments)))
        return
    result = compare(arguments)
    if arguments.model:
        result["model"] = sample(arguments)
    for name, value in result.items():
        print(f"{name:<12} {value}")
    if arguments.keep:
        keeping.keep("keywords", result)
    if arguments.json:
        print(json.dumps({"ratio": result["ratio"], "lines_lost": result["lines_lost"]}))


def run(arguments: argparse.Namespace) -> dict[str, float]:
    """One way, timed."""
    start = time.perf_counter()
    rows = ours(arguments) if arguments.way == "ours" else plain(arguments)
    return {"rows": rows, "seconds": time.perf_counter() - start}


def ours(arguments: argparse.Namespace) -> int:
    config = KeywordsConfig(
        title_field=arguments.title,
        category_field=arguments.category,
        extractor=arguments.extractor,
        work=WorkConfig(workers=arguments.workers),
    )
    return encode([arguments.table], arguments.out, config, lambda _: None).rows


def plain(arguments: argparse.Namespace) -> int:
    extract = load_extractor(choose_extractor(arguments.extractor), LONGEST)
    chance = random.Random(0)
    lines, count = [], 0
    for row in read(arguments.table):
        if not row[arguments.title].strip():
            continue
        count += 1
        (keywords,) = extract([row[arguments.title]])
        sections = {"title": row[arguments.title]}
        if arguments.category:
            sections["category"] = slug(row[arguments.category], lower=True)
        for _ in range(3):
            chance.shuffle(keywords)
            chosen = " ".join(keywords[: chance.randint(0, 3)])
            lines.append(build_line({**sections, "keywords": chosen}))
    chance.shuffle(lines)
    arguments.out.write_text("".join(lines), encoding="utf-8")
    return count


def read(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both ways in turn, and what comes back of our lines."""
    head = keeping.describe("keyword lines encoded, beside a plain loop", ("yake", "spacy"))
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        outs = {way: Path(scratch) / f"{way}.txt" for way in WAYS}
        rows = 0
        for _ in range(arguments.rounds):
            for way in WAYS:
                words = [*sys.argv[1:], "--way", way, "--out", str(outs[way])]
                done = subprocess.run(
                    [sys.executable, __file__, *words], capture_output=True, text=True, check=True
                )
                found = json.loads(done.stdout)
                rows = found["rows"]
                seconds[way].append(found["seconds"])
        failed = count_lost(arguments, outs["ours"])
    medians = {way: statistics.median(found) for way, found in seconds.items()}
    return {
        **head,
        "rows": rows,
        "extractor": choose_extractor(arguments.extractor).name,
        "rows_per_s": {way: round(rows / median) for way, median in medians.items()},
        "ratio": round(medians["plain"] / medians["ours"], 3),
        "seconds": {way: [round(s, 2) for s in found] for way, found in seconds.items()},
        "lines_lost": failed,
    }


def count_lost(arguments: argparse.Namespace, out: Path) -> int:
    """Lines that do not decode back to the category and title of a row."""
    names = ("category", "title") if arguments.category else ("title",)
    wanted: collections.Counter[tuple[str, ...]] = collections.Counter()
    for row in read(arguments.table):
        title = row[arguments.title].strip("\n")
        if title.strip():
            category = [slug(row[arguments.category], lower=True)] if arguments.category else []
            wanted[*category, title] += 3
    found = collections.Counter(
        tuple(text[name] for name in names) for text in decode_file(out, Marks(), print)
    )
    return (wanted - found).total()


def sample(arguments: argparse.Namespace) -> dict[str, Any]:
    """The share of a model's texts that hold the keywords that they were asked for."""
    import penwright
    from penwright.metrics import find_keywords

    chance = random.Random(1)
    rows = [row for row in read(arguments.table) if len(row[arguments.title].split()) > 4]
    rows = chance.sample(rows, arguments.samples)
    extract = load_extractor(choose_extractor(arguments.extractor), LONGEST)
    asked = [words[:2] for words in extract([row[arguments.title] for row in rows])]
    writer = penwright.load(arguments.model)
    texts = []
    for row, words in zip(rows, asked, strict=True):
        options = {"keywords": ", ".join(words), "seed": len(texts), "max_new_tokens": 60}
        options["temperature"] = arguments.temperature
        if arguments.category:
            options["category"] = row[arguments.category]
        texts.append(writer.generate(**options)[0].text)
    held = [all(find_keywords(t, w)) for t, w in zip(texts, asked, strict=True) if w]
    others = [*asked[1:], asked[0]]
    by_chance = [all(find_keywords(t, w)) for t, w in zip(texts, others, strict=True) if w]
    each = [hit for t, w in zip(texts, asked, strict=True) for hit in find_keywords(t, w)]
    return {
        "name": arguments.model,
        "temperature": arguments.temperature,
        "samples": len(held),
        "with_all_keywords": round(statistics.mean(held), 3),
        "keywords_found": round(statistics.mean(each), 3),
        "with_those_of_another": round(statistics.mean(by_chance), 3),
        "first": [{"keywords": w, "text": t} for w, t in zip(asked[:5], texts[:5], strict=True)],
    }


if __name__ == "__main__":
    main()

"""Choose the data that `base` is trained on; score it and have it judged blindly beside another.

    python bench/base.py data NOVELS TALES OUT [--share 0.1]
    python bench/base.py score MODEL [MODEL ...] --held-out OUT
    python bench/base.py pairs OLD NEW --pairs pairs.json --key key.json [--seed 1] [--taught RUNS]
    python bench/base.py votes --pairs pairs.json --key key.json --votes votes.json

NOVELS is a folder of texts whose names end in a year, TALES a file of JSON lines with title, set
and text. The judge reads pairs.json, which names no model, and writes votes.json: {"1": "a", "2":
"tie", ...}. Both models write from the same prompts with the same seeds; the seed draws which is a.
With --taught, both are first fine-tuned as `penwright quickstart` does it, into that folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

CLEAN = ("gutenberg", "quotes", "unwrap", "whitespace")
HELD_OUT_NOVELS = ("Burnett_Garden_1911", "Doyle_Hound_1902", "Forster_View_1908")
LAST_YEAR = 1930
HELD_OUT_TALES = 40
VALIDATION_TALES, VALIDATION_NOVELS, VALIDATION_LENGTH = 12, 1, 100_000
"""What choices are made by: the next by hash, and of each at most so many characters."""
NO_TALES = "novels for the young"
REPEATS = {"sherlock-holmes"}  # a volume of tales that the set has one by one
SIMPLE_SHARE = 0.15  # of all bytes: the texts that are easiest to read
CHILDREN = {"grimm", "anderson", "wilde_happy_prince"}
CHILDREN_TITLES = {
    "alice-in-wonderland", "black-beauty", "five-children-and-it", "princess-and-goblin",
    "tom-sawyer", "wizard-of-oz",
}  # fmt: skip
COMMON_WORDS, PLAIN_SHARE, PLAIN_WORDS = 1500, 0.1, 300
"""Of the plainest texts: the number of words that are common, their share of all characters, and
the fewest words of one."""
RUN = 10
"""Words in a run by which texts are recognised."""
OVERLAP = 0.02
"""Of a held-out text's runs of words, the share that no training text may have."""


def read_novels(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the novels as records of title, set and text."""
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8-sig")
        yield {"title": path.stem, "set": "novels", "text": text}


def read_tales(path: Path) -> Iterator[dict[str, str]]:
    """Yield the tales as records of title, set and text."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def hash_title(record: dict[str, str]) -> str:
    """Return the SHA-256 of a record's title."""
    return hashlib.sha256(record["title"].encode()).hexdigest()


def divide(records: Sequence[dict[str, str]]) -> list[str]:
    """Return of each record whether it is for "training", "held out" or for "validation".

    Held out are the three novels, and of the tales the forty whose titles have the smallest
    SHA-256. The next few, and the first of the other novels, are for validation.
    """
    places = {"novels": list[int](), "tales": list[int]()}
    for number, record in enumerate(records):
        if record["set"] != NO_TALES:
            places["novels" if record["set"] == "novels" else "tales"].append(number)
    for numbers in places.values():
        numbers.sort(key=lambda n: hash_title(records[n]))
    held_out = [n for n in places["novels"] if records[n]["title"] in HELD_OUT_NOVELS]
    others = [n for n in places["novels"] if n not in held_out]
    held_out += places["tales"][:HELD_OUT_TALES]
    validation = places["tales"][HELD_OUT_TALES:][:VALIDATION_TALES] + others[:VALIDATION_NOVELS]
    parts = ["training"] * len(records)
    for name, numbers in (("held out", held_out), ("validation", validation)):
        for number in numbers:
            parts[number] = name
    return parts


def clean(text: str) -> str:
    """Return a text as the cleaning steps of the training data leave it."""
    from penwright.formats.clean_steps import STEPS

    for name in CLEAN:
        text = STEPS[name](text)
    return text.strip()


def readability(text: str) -> float:
    """Return the Automated Readability Index (Smith and Senter, 1967): about a US school grade."""
    words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text)
    sentences = max(1, len(re.findall(r"[.!?]+[\"'”’)]*\s", text)))
    letters = sum(map(len, words))
    return 4.71 * letters / max(1, len(words)) + 0.5 * len(words) / sentences - 21.43


def runs_of(text: str) -> Iterator[int]:
    """Yield a hash of each run of `RUN` words, whatever stands between them."""
    words = re.findall(r"[a-z]+", text.lower())
    for start in range(len(words) - RUN + 1):
        yield hash(tuple(words[start : start + RUN]))


def find_copies(
    training: Sequence[dict[str, str]], held_out: Sequence[dict[str, str]]
) -> dict[int, tuple[str, float]]:
    """Return the training texts that hold a part of a held-out one: by number, which and how much.

    The part is the share of the held-out text's runs of words, or of the training text's.
    """
    owner = {run: number for number, r in enumerate(held_out) for run in set(runs_of(r["text"]))}
    sizes = [max(1, len(set(runs_of(r["text"])))) for r in held_out]
    found: dict[int, tuple[str, float]] = {}
    for number, record in enumerate(training):
        runs = set(runs_of(record["text"]))
        hits: dict[int, int] = {}
        for run in runs & owner.keys():
            hits[owner[run]] = hits.get(owner[run], 0) + 1
        for other, count in hits.items():
            share = max(count / sizes[other], count / max(1, len(runs)))
            if share > OVERLAP:
                found[number] = held_out[other]["title"], round(share, 3)
    return found


def is_for_children(record: dict[str, str]) -> bool:
    """Return whether a text is one of the tales for children that were written plainly."""
    return record["set"] in CHILDREN or record["title"] in CHILDREN_TITLES


def find_children(training: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the tales for children."""
    return [record for record in training if is_for_children(record)]


def find_plain(training: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the other tales with the largest share of common words."""
    tales = [r for r in training if r["set"] != "novels"]
    words = [re.findall(r"[a-z']+", record["text"].lower()) for record in tales]
    counts = Counter(word for some in words for word in some)
    common = {word for word, _ in counts.most_common(COMMON_WORDS)}
    shares = [sum(w in common for w in some) / max(1, len(some)) for some in words]
    room = PLAIN_SHARE * sum(len(r["text"]) for r in training)
    plain: list[dict[str, str]] = []
    for number in sorted(range(len(tales)), key=lambda n: shares[n], reverse=True):
        if len(words[number]) < PLAIN_WORDS or is_for_children(tales[number]):
            continue
        plain.append(tales[number])
        room -= len(tales[number]["text"])
        if room < 0:
            break
    return plain


def write_data(novels: Path, tales: Path, out: Path, share: float) -> dict[str, Any]:
    """Write the training sets (novels, tales, simple) and the two that are held out.

    Of the tales, those for children and the plainest are written again. A share below 1 keeps that
    part of each training set: the texts whose titles have the smallest SHA-256.
    """
    records = [*read_novels(novels), *read_tales(tales)]
    left_out: dict[str, list[str]] = {"first published too late": [], "repeats": []}
    parts: dict[str, list[dict[str, str]]] = {"training": [], "held out": [], "validation": []}
    for record, part in zip(records, divide(records), strict=True):
        record["text"] = clean(record["text"])
        if record["set"] == "novels" and int(record["title"][-4:]) > LAST_YEAR:
            left_out["first published too late"].append(record["title"])
        elif record["title"] in REPEATS:
            left_out["repeats"].append(record["title"])
        else:
            parts[part].append(record)
    training, held_out = parts["training"], parts["held out"]
    copies = find_copies(training, held_out + parts["validation"])
    left_out["parts of held-out texts"] = [
        f"{training[number]['title']}: {share} of {title}"
        for number, (title, share) in copies.items()
    ]
    training = [r for number, r in enumerate(training) if number not in copies]
    total = sum(len(r["text"]) for r in training)
    size = 0
    for record in sorted(training, key=lambda r: readability(r["text"])):
        size += len(record["text"])
        record["part"] = "tales" if record["set"] != "novels" else "novels"
        if size < SIMPLE_SHARE * total:
            record["part"] = "simple"
    out.mkdir(parents=True, exist_ok=True)
    sizes = {}
    sets = {n: [r for r in training if r["part"] == n] for n in ("novels", "tales", "simple")}
    sets |= {"children": find_children(training), "plain": find_plain(training)}
    for name, some in sets.items():
        kept = sorted(some, key=hash_title)[: round(share * len(some))]
        sizes[name] = write_records(out / f"{name}.jsonl", kept)
    for name, wanted in (("novels", True), ("tales", False)):
        chosen = (r for r in held_out if (r["set"] == "novels") == wanted)
        sizes[f"held-out {name}"] = write_records(out / f"held-out-{name}.jsonl", chosen)
    for record in parts["validation"]:
        record["text"] = record["text"][:VALIDATION_LENGTH]
    sizes["validation"] = write_records(out / "validation.jsonl", parts["validation"])
    told = {
        "sizes": sizes,
        "left out": left_out,
        "titles": {name: [r["title"] for r in parts[name]] for name in ("held out", "validation")},
    }
    (out / "data.json").write_text(json.dumps(told, indent=1, ensure_ascii=False))
    return told


def write_records(path: Path, records: Iterable[dict[str, str]]) -> dict[str, int]:
    """Write title and text of each record as a line of JSON; return how many and how long."""
    count = characters = 0
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            count, characters = count + 1, characters + len(record["text"])
            kept = {"title": record["title"], "text": record["text"]}
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")
    return {"documents": count, "characters": characters}


PROMPTS = """\
The lighthouse keeper had a cat who
On the morning of the fair, Lena
Mr. Okafor opened the
There was once a baker who
The train stopped in the middle of the field, and
"Where have you been?" asked her
Nobody in the village had ever seen
The robot looked at
It rained for nine days, and on the tenth
My grandfather kept a goose
When the teacher came in,
The old woman counted her money and
"I am not afraid," said the boy, but
Captain Reyes read the
The house at the end of the street
A small fox lived under
The letter had no stamp, and
They had been walking since dawn when
The doctor took off his hat
In the kitchen, two mice
Anna found a key in the garden.
The king had three daughters. The youngest
The bus was late, so
"You can't sell that," said Tom.
The moon was so bright that
Every Sunday the brothers
The ship came down in the wheat behind
He had lost his umbrella, and now
The giant sat down and
Martha did not believe in ghosts until
The music stopped.
At the bottom of the well there was
The new neighbour carried a drum and
"Please," she said, "give me
The river had frozen, and
Ben was the smallest boy in the class, but
The clock in the tower struck thirteen.
After supper, Uncle Paul told
The detective put the glass down and
A letter came for the donkey.
The snow was up to the windows when
She had never flown before, and
The shop sold nothing but hats.
Two men were waiting at the bridge.
The princess would not eat
The dog barked once and
He pressed the red button, and
The gardener shook his head.
Far out at sea, a little boat
"What is your name?" asked the tree.
""".splitlines()


def score(models: Sequence[str], held_out: Path) -> dict[str, dict[str, float]]:
    """Return the bits per byte of each model on the held-out novels and tales."""
    import penwright

    found: dict[str, dict[str, float]] = {}
    for model in models:
        for name in ("novels", "tales"):
            data = held_out / f"held-out-{name}.jsonl"
            scored = penwright.evaluate(model, data, text_column="text")
            found.setdefault(model, {})[name] = round(scored.bits_per_byte, 4)
    return found


def teach(models: Sequence[str], runs: Path) -> list[str]:
    """Fine-tune each model as the quickstart does; return the runs."""
    from importlib.resources import as_file, files

    import penwright
    from penwright.cli.train import QUICKSTART_TRAINING

    taught = []
    with as_file(files("penwright") / "assets" / "samples" / "hill.jsonl") as stories:
        for model in models:
            folder = str(runs / f"{Path(model).name}-taught")
            options = QUICKSTART_TRAINING | {"model": model, "output_dir": folder}
            penwright.finetune(stories, **options)
            taught.append(folder)
    return taught


def write_pairs(models: Sequence[str], pairs: Path, key: Path, seed: int) -> None:
    """Write what two models make of each prompt, in an order drawn by the seed, and its key."""
    import penwright
    from penwright.cli.train import QUICKSTART_WRITING

    drawn = random.Random(seed)
    settings = {**QUICKSTART_WRITING, "max_new_tokens": 120, "seed": seed}
    texts = [
        [one.text for one in penwright.load(model).generate(PROMPTS, 1, **settings)]
        for model in models
    ]
    shown, order = [], {}
    for number, (prompt, *both) in enumerate(zip(PROMPTS, *texts, strict=True), 1):
        first = drawn.randrange(2)
        order[str(number)] = {"a": models[first], "b": models[1 - first]}
        shown.append({"pair": number, "prompt": prompt, "a": both[first], "b": both[1 - first]})
    pairs.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    key.write_text(json.dumps({"settings": settings, "order": order}, indent=1) + "\n")


def count_votes(pairs: Path, key: Path, votes: Path) -> dict[str, Any]:
    """Return how often each model is preferred; raises SystemExit unless every pair has a vote."""
    order = json.loads(key.read_text())["order"]
    given = json.loads(votes.read_text())
    missing = order.keys() - given.keys()
    wrong = {number for number, vote in given.items() if vote not in ("a", "b", "tie")}
    if missing or wrong or len(order) != len(json.loads(pairs.read_text())):
        raise SystemExit(f"Pairs without a vote of a, b or tie: {sorted(missing | wrong)}")
    named = Counter("tie" if given[n] == "tie" else order[n][given[n]] for n in order)
    return {"pairs": len(order), **named}


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["data", "score", "pairs", "votes"])
    parser.add_argument("names", nargs="*", help="folders, files or models")
    parser.add_argument("--held-out", type=Path)
    for name in ("pairs", "key", "votes"):
        parser.add_argument(f"--{name}", type=Path, default=Path(f"{name}.json"))
    parser.add_argument("--share", type=float, default=1.0, help="of the training texts to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--taught", type=Path, help="folder for the fine-tuned models")
    given = parser.parse_args()
    if given.task == "data":
        novels, tales, out = map(Path, given.names)
        told = write_data(novels, tales, out, given.share)
    elif given.task == "score":
        told = score(given.names, given.held_out)
    elif given.task == "pairs":
        models = teach(given.names, given.taught) if given.taught else given.names
        write_pairs(models, given.pairs, given.key, given.seed)
        told = {"pairs": str(given.pairs), "key": str(given.key)}
    else:
        told = count_votes(given.pairs, given.key, given.votes)
    print(json.dumps(told, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()

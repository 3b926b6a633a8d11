"""The recipes, whole, and each one's training beside the transformers way of doing the same job.

    python bench/systems.py [NAME ...] [--steps 20] [--race-only] [--json] [--keep]

First the race: ours is the recipe's own training, as `penwright recipe` runs it; the peer is a
plain loop over transformers' GPT-2 (float32, torch's AdamW, rows padded or text cut into blocks,
micro-batches as the recipe has them) on the same model, texts, rows a step and tokens a row. Each
lives in a process of its own and they take steps in turn, so that whatever else the machine does
falls on both. Peak memory is anonymous memory, sampled every 10 ms. Then the recipes themselves,
each in a process of its own, from beginning to end. With --json the last line holds the ratios;
--keep writes all to bench/results/systems.json and the table into docs/systems.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keeping
from racing import Contender

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "systems.md"
BEGIN, END = "<!-- figures: bench/systems.py --keep -->", "<!-- end of figures -->"


def job_of(name: str, folder: Path) -> dict[str, Any]:
    """What both are to do: the model as a Hugging Face folder, the texts, the plan."""

    from penwright.compute import choose_device
    from penwright.config import FinetuneConfig, build
    from penwright.dataset.store_cache import open_data
    from penwright.dataset.tasks import stretches
    from penwright.tokens import Split
    from penwright.train import make_plan
    from penwright.verbs.recipe_file import read_recipe
    from penwright.verbs.run_recipe import encode_table
    from penwright.weights import export
    from penwright.weights import open as open_model

    recipe = read_recipe(name)
    options = recipe.finetune_options(with_data=False, with_model=False)
    # All of the data is trained on, so that nothing is measured along the way.
    options |= {"held_out": 0.0, "held_out_data": (), "sample_every": 0, "add_token": ()}
    paths: Any = recipe.sample_data()
    asked: Mapping[str, Any] = options
    if recipe.keywords is not None:
        paths, asked = encode_table(recipe, paths, options, lambda _: None)
        paths += asked.get("held_out_data", ())
    config: FinetuneConfig = build(FinetuneConfig, asked)
    opened = open_model("base")
    store = open_data(paths, config.data, opened.tokenizer, lambda _: None).store
    part = Split.whole(store)
    plan = make_plan(config, opened.model, part, part, choose_device("cpu"))
    model = folder / "base"
    if not model.exists():
        export("base", "huggingface", model)
    texts = [stretches(part, opened.tokenizer, a, b) for a, b in part.ranges.tolist()]
    return {
        "model": str(model),
        "paths": list(map(str, paths)),
        "options": options,
        "texts": texts,
        "rows": plan.shape == "rows" or any(not learn for text in texts for _, learn in text),
        "plan": plan.as_json(),
    }


def ours(job: dict[str, Any], steps: int) -> None:
    """Train as the recipe does, a step at a time."""
    import penwright
    from penwright.train import Silent
    from watching import Peak

    peak = Peak()

    class Steps(Silent):
        begun = 0.0

        def on_start(self, info: dict[str, Any]) -> None:  # noqa: ARG002 - the protocol's name
            print("ready", flush=True)
            self.wait()

        def on_step(self, record: dict[str, Any]) -> None:
            tell(time.perf_counter() - self.begun, record["loss"], peak.bytes())
            if record["step"] < steps:
                self.wait()

        def wait(self) -> None:
            sys.stdin.readline()
            self.begun = time.perf_counter()

    recipe = {name: value for name, value in job["options"].items() if name != "epochs"}
    options = recipe | {"steps": steps, "output_dir": Path("run"), "patience": 0}
    penwright.finetune(*job["paths"], observer=Steps(), **options)


def peer(job: dict[str, Any], steps: int) -> None:
    """The same by transformers."""
    from watching import Peak

    peak = Peak()
    take_step = make_peer(job)
    print("ready", flush=True)
    for _ in range(steps):
        sys.stdin.readline()
        begun = time.perf_counter()
        loss = take_step()
        tell(time.perf_counter() - begun, loss, peak.bytes())


def make_peer(job: dict[str, Any]) -> Callable[[], float]:
    """A function that takes one step and returns its loss."""
    import torch
    import transformers

    plan = job["plan"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
    model = transformers.GPT2LMHeadModel.from_pretrained(job["model"], dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=plan["learning_rate"],
        eps=plan["eps"],
        weight_decay=plan["weight_decay"],
    )
    rows = make_rows if job["rows"] else make_blocks
    examples = endless(rows(job["texts"], tokenizer, plan["max_length"]))

    def step() -> float:
        total = 0.0
        for _ in range(0, plan["batch_size"], plan["micro_batch"]):
            pairs = [next(examples) for _ in range(plan["micro_batch"])]
            tokens_BT, labels_BT = (torch.tensor(side) for side in zip(*pairs, strict=True))
            loss = model(input_ids=tokens_BT, labels=labels_BT).loss
            loss = loss * plan["micro_batch"] / plan["batch_size"]
            loss.backward()
            total += float(loss.detach())
        if plan["clip"]:
            torch.nn.utils.clip_grad_norm_(model.parameters(), plan["clip"])
        optimizer.step()
        optimizer.zero_grad()
        return total

    return step


def make_rows(texts: Any, tokenizer: Any, length: int) -> list[tuple[list[int], list[int]]]:
    """A text a row, cut and padded on the right; context and padding have the label -100."""
    rows = []
    for text in texts:
        tokens: list[int] = []
        labels: list[int] = []
        for piece, learn in text:
            ids = tokenizer(piece)["input_ids"]
            tokens += ids
            labels += ids if learn else [-100] * len(ids)
        tokens, labels = [*tokens, tokenizer.eos_token_id], [*labels, tokenizer.eos_token_id]
        more = length - len(tokens)
        tokens += [tokenizer.eos_token_id] * more
        rows.append((tokens[:length], (labels + [-100] * more)[:length]))
    return rows


def make_blocks(texts: Any, tokenizer: Any, length: int) -> list[tuple[list[int], list[int]]]:
    """All texts one after another, cut into blocks."""
    line: list[int] = []
    for text in texts:
        line += tokenizer("".join(piece for piece, _ in text))["input_ids"]
        line.append(tokenizer.eos_token_id)
    blocks = [line[i : i + length] for i in range(0, max(1, len(line) - length + 1), length)]
    return [(block, block) for block in blocks]


def endless(rows: list[Any]) -> Iterator[Any]:
    while True:
        yield from rows


def tell(seconds: float, loss: float, peak: int) -> None:
    print(json.dumps({"seconds": seconds, "loss": loss, "peak": peak}), flush=True)


def enter(who: str, job: Path, steps: int, folder: Path) -> Contender:
    """A contender for a job, in a folder of its own."""
    folder.mkdir()
    script = [sys.executable, ROOT / "bench" / "systems.py"]
    return Contender([*script, "--child", who, job, "--steps", str(steps)], folder=folder)


def figures(contender: Contender) -> dict[str, Any]:
    """What its steps took, the first not counted."""
    return {
        "seconds_a_step": statistics.median(step["seconds"] for step in contender.steps[1:]),
        "peak_mb": contender.steps[-1]["peak"] / 2**20,
        "losses": [step["loss"] for step in contender.steps],
    }


def race(name: str, steps: int, folder: Path) -> dict[str, Any]:
    """Both take `steps` steps in turn; the first of each is not counted."""
    job = job_of(name, folder)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(job))
    first, second = (enter(who, path, steps, folder / f"{name}-{who}") for who in WHO)
    for _ in range(steps):
        first.step()
        second.step()
    pairs = list(zip(first.steps[1:], second.steps[1:], strict=True))
    first.close()
    second.close()
    mine, theirs = figures(first), figures(second)
    plan = job["plan"]
    return {
        "rows_a_step": plan["batch_size"],
        "tokens_a_row": plan["max_length"],
        "steps": steps,
        "ours": mine | {"precision": plan["precision"]},
        "peer": theirs | {"precision": "fp32"},
        "time_ratio": statistics.median(b["seconds"] / a["seconds"] for a, b in pairs),
        "memory_ratio": mine["peak_mb"] / theirs["peak_mb"],
    }


def whole(name: str, folder: Path) -> dict[str, Any]:
    """`penwright recipe NAME`, from beginning to end, in a process of its own."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "penwright", "recipe", name, "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    del outcome["run"], outcome["report"], outcome["data"]
    return outcome | {"seconds_with_start": time.perf_counter() - start}


def table(result: dict[str, Any]) -> str:
    """The figures as a table of Markdown."""
    lines = [
        f"Measured on {result['when']}, {result['machine']} ({result['instructions']}); "
        + ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        + ".",
        "",
        "| recipe | perplexity before | after | beside it | before | after | minutes |"
        " times as fast | of its memory |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, one in result["recipes"].items():
        cells = ["-"] * 6
        if "whole" in one:
            cells = _outcome(one["whole"])
        race_ = one["race"]
        cells += [f"{race_['time_ratio']:.1f}", f"{100 * race_['memory_ratio']:.0f} %"]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _outcome(outcome: dict[str, Any]) -> list[str]:
    rows: list[tuple[str, str, str]] = []
    for one in outcome["measured"]:
        before, after = one["before"], one["after"]
        if after["average"] == "batch":
            rows.append(("mean of batches", _spread(before), _spread(after)))
        for figure in after.get("metrics", {}).get("figures", {}):
            both = (e["metrics"]["figures"][figure] for e in (before, after))
            rows.append((figure, *(_spread(f, "value") for f in both)))
    first = outcome["measured"][0]
    columns = [[row[i] for row in rows] for i in range(3)] if rows else [["-"]] * 3
    return [
        _spread(first["before"]),
        _spread(first["after"]),
        *("<br>".join(column) for column in columns),
        f"{outcome['seconds'] / 60:.1f}",
    ]


def _spread(found: dict[str, Any], key: str = "perplexity") -> str:
    low, high = found["low"], found["high"]
    value = f"{found[key]:,.1f}"
    return value if low is None or low == high else f"{value} ({low:,.1f} to {high:,.1f})"


def keep(result: dict[str, Any]) -> None:
    """Write the result, and its table into the page."""
    keeping.keep("systems", result)
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    page = f"{before}{BEGIN}\n\n{table(result)}\n\n{END}{after}"
    PAGE.write_text(page, encoding="utf-8", newline="\n")


WHO = ("ours", "peer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--race-only", action="store_true")
    keeping.add_options(parser)
    parser.add_argument("--child", choices=WHO)
    options = parser.parse_args()
    if options.child:
        job = json.loads(Path(options.names[0]).read_text())
        (ours if options.child == "ours" else peer)(job, options.steps)
        return
    from penwright.verbs.recipe_file import list_recipes

    # A recipe that makes its own model stands in for no system.
    names = options.names or [recipe.name for recipe in list_recipes() if not recipe.new]
    recipes: dict[str, dict[str, Any]] = {}
    result = {
        **keeping.describe(
            "the recipes on their samples with base, and their training beside transformers'",
            ("torch", "transformers"),
        ),
        "recipes": recipes,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["PENWRIGHT_CACHE"] = str(folder / "cache")
        for name in names:
            recipes[name] = {"race": race(name, options.steps, folder)}
            if not options.race_only:
                recipes[name]["whole"] = whole(name, folder)
            print(f"{name}: {json.dumps(summary(recipes[name]))}", file=sys.stderr)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    if options.keep:
        keep(result)
    if options.json:
        print(json.dumps({name: summary(one) for name, one in recipes.items()}))


def summary(one: dict[str, Any]) -> dict[str, float]:
    found = {"time_ratio": one["race"]["time_ratio"], "memory_ratio": one["race"]["memory_ratio"]}
    kept = ("perplexity_before", "perplexity_after", "seconds")
    return found | {name: one["whole"][name] for name in kept if "whole" in one}


if __name__ == "__main__":
    main()

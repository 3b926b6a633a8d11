"""Time to the same held-out loss: transformers' run_clm, the story notebook's loop, and finetune.

    python bench/race.py SCREENPLAY TITLES --folder race [--minutes 20] [--share 1.0] [--keep]
    python bench/race.py SCREENPLAY --folder race-124M --model 124M --random --minutes 4

All three begin with the same weights (`base`, or `--random` ones of a size) and learn the same:
of a plain text all but its last twentieth, of a CSV the last column of all rows but each
twentieth. Each has a process of its own, one after another, so nothing else should run.

run_clm     its defaults by transformers' Trainer: all lines end to end in blocks of the context,
            batches of 8, 3 epochs, AdamW, rate 5e-5 falling to 0, float32.
notebook    a text a row, cut and padded to 512 tokens, padding not learned; batches of 4 in order,
            one epoch, AdamW of rate 5e-5, a tenth of the steps warming up, then falling.
penwright   `penwright finetune FILE` without options; its own measurements, samples and checkpoints
            are on its clock.

The clock begins before the data is read, and stands while the common held-out text is scored: the
texts alone, without end-of-text and first tokens, as the notebook scores them. A part that is
finished is a file in --folder and is not run again, so an interrupted race goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keeping

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WHO = ("penwright", "run_clm", "notebook")
HELD_OUT = 20  # every so many rows one, or so small a part of a text
ROW = 512


class Clock:
    """Seconds of a contender, and its held-out losses at some of them."""

    def __init__(self, score: Callable[[Any], float], minutes: float) -> None:
        self.score, self.limit = score, 60 * minutes
        self.points: list[tuple[float, float]] = []
        self.seconds, self.next = 0.0, 0.0
        self.begun = time.perf_counter()

    def look(self, model: Any, *, last: bool = False) -> bool:
        """Score the model when it is time to; return whether the time is up."""
        now = time.perf_counter()
        self.seconds += now - self.begun
        if last or self.seconds >= self.next or self.seconds > self.limit:
            self.points.append((self.seconds, self.score(model)))
            self.next = max(self.seconds * 1.15, self.seconds + 2.0)
        self.begun = time.perf_counter()
        return self.seconds > self.limit


def texts_of(path: Path, share: float) -> tuple[list[str], list[str], bool]:
    """Return training and held-out texts, and whether they are the rows of a table."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252")
    if path.suffix == ".csv":
        rows = [row[-1] for row in csv.reader(io.StringIO(text)) if row and row[-1].strip()]
        rows = rows[: int(share * len(rows))]
        train = [row for number, row in enumerate(rows) if number % HELD_OUT]
        return train, rows[::HELD_OUT], True
    text = text.replace("\r\n", "\n")
    text = text[: int(share * len(text))]
    border = text.index("\n", len(text) - len(text) // HELD_OUT)
    return [text[:border]], [text[border:]], False


def prepare(path: Path, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Write what all contenders begin with: the weights, and the texts in the form of each."""
    from penwright.weights import export
    from penwright.weights.names import base_folder

    folder.mkdir(parents=True, exist_ok=True)
    train, held_out, is_table = texts_of(path, options.share)
    model = folder.parent / "model"
    if not model.exists():
        name = _random(options.model, folder.parent / "own") if options.random else options.model
        export(base_folder() if name == "base" else name, "huggingface", model)
    (folder / "train.txt").write_text("\n".join(train) + "\n", encoding="utf-8")
    if is_table:
        with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["title"], *([row] for row in train)])
    job = {
        "model": str(model),
        "file": str(folder / ("train.csv" if is_table else "train.txt")),
        "lines": str(folder / "train.txt"),
        "texts": train,
        "held_out": held_out,
        "share": options.share,
        "minutes": options.minutes,
    }
    (folder / "job.json").write_text(json.dumps(job))
    return job


def _random(size: str, folder: Path) -> Path:
    """Save a model of this size with random weights, and GPT-2's tokenizer or base's."""
    from penwright import weights
    from penwright.model import GPT2, SIZES, init_weights
    from penwright.tokens import Tokenizer

    model = GPT2(SIZES[size])
    init_weights(model, seed=0)
    weights.save(folder, model, Tokenizer.gpt2(), card="", penwright={})
    return folder


def make_score(job: dict[str, Any]) -> Callable[[Any], float]:
    """Return a function that scores a model, ours or transformers', on the held-out texts."""
    import torch

    import penwright
    from penwright.score import token_losses

    writer = penwright.load(job["model"], precision="fp32")
    scorer, tokenizer = writer.model, writer.tokenizer
    scorer.eval()
    context = scorer.config.n_positions
    rows = [tokenizer.encode(text) for text in job["held_out"]]
    rows = [row[at : at + context] for row in rows for at in range(0, len(row), context)]
    rows = sorted((row for row in rows if len(row) > 1), key=len)
    batches = [rows[at : at + 16] for at in range(0, len(rows), 16)]

    def score(model: Any) -> float:
        # A model of transformers also names its head, which is the embedding.
        loaded = scorer.load_state_dict(model.state_dict(), strict=False)
        assert not loaded.missing_keys, loaded.missing_keys
        total = tokens = 0.0
        with torch.no_grad():
            for batch in batches:
                longest = max(map(len, batch))
                line_BT = torch.tensor([row + [0] * (longest - len(row)) for row in batch])
                targets_BT = line_BT[:, 1:].clone()
                for number, row in enumerate(batch):
                    targets_BT[number, len(row) - 1 :] = -100
                total += float(token_losses(scorer, line_BT[:, :-1], targets_BT).sum())
                tokens += int((targets_BT != -100).sum())
        return total / tokens

    return score


def penwright_finetune(job: dict[str, Any], clock: Clock, folder: Path) -> None:
    """Run `penwright finetune FILE --model MODEL`, with nothing else."""
    from penwright.config import FinetuneConfig, build
    from penwright.train import Silent
    from penwright.verbs.copied import record_copies
    from penwright.verbs.starting import start

    config = build(FinetuneConfig, {"model": job["model"], "output_dir": folder / "run"})
    trainer, text = start([job["file"]], config, Silent(), "race")

    class Watch(Silent):
        def on_step(self, record: dict[str, Any]) -> None:  # noqa: ARG002 - the protocol's name
            if clock.look(trainer.model):
                raise TimeoutError

    trainer.observer = Watch()
    trainer.score_all(0)
    trainer.sample()
    try:
        trainer.train()
        record_copies(text, lambda _: None)
        best = trainer.run.pointed("best")
        if best is not None and trainer.state.best_step != trainer.state.step:
            trainer.restore(best, optimizer=False)
    except TimeoutError:
        pass
    clock.look(trainer.model, last=True)
    trainer.run.close()


def run_clm(job: dict[str, Any], clock: Clock, folder: Path) -> None:
    """Train as transformers' examples/pytorch/language-modeling/run_clm.py does by default."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
    model = transformers.GPT2LMHeadModel.from_pretrained(job["model"], dtype=torch.float32)
    size = min(1024, model.config.n_positions)
    lines = Path(job["lines"]).read_text(encoding="utf-8").splitlines(keepends=True)
    joined = [token for ids in tokenizer(lines)["input_ids"] for token in ids]
    blocks = [joined[at : at + size] for at in range(0, len(joined) - size + 1, size)]
    items = [{"input_ids": block, "labels": list(block)} for block in blocks]

    class Watch(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            control.should_training_stop |= clock.look(model)

    arguments = transformers.TrainingArguments(output_dir=str(folder / "clm"), report_to="none")
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=items,
        data_collator=transformers.default_data_collator,
        callbacks=[Watch()],
    )
    trainer.train()
    clock.look(model, last=True)


def notebook(job: dict[str, Any], clock: Clock, folder: Path) -> None:  # noqa: ARG001
    """Train as the notebook does: a text a row, padded to 512; a long text in pieces of 512."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
    model = transformers.GPT2LMHeadModel.from_pretrained(job["model"], dtype=torch.float32)
    model.train()
    row = min(ROW, model.config.n_positions)
    encoded = [tokenizer(text)["input_ids"] for text in job["texts"]]
    pieces = [ids[at : at + row] for ids in encoded for at in range(0, len(ids), row)]
    steps = -(-len(pieces) // 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, eps=1e-8, weight_decay=0.0)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    for at in range(0, len(pieces), 4):
        batch = pieces[at : at + 4]
        line_BT = torch.full((len(batch), row), tokenizer.eos_token_id)
        labels_BT = torch.full((len(batch), row), -100)
        mask_BT = torch.zeros((len(batch), row), dtype=torch.int64)
        for number, ids in enumerate(batch):
            line_BT[number, : len(ids)] = labels_BT[number, : len(ids)] = torch.tensor(ids)
            mask_BT[number, : len(ids)] = 1
        loss = model(input_ids=line_BT, attention_mask=mask_BT, labels=labels_BT).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if clock.look(model):
            break
    clock.look(model, last=True)


def take_part(who: str, folder: Path) -> None:
    """Run one contender, and write its part of the race."""
    contenders = {"penwright": penwright_finetune, "run_clm": run_clm, "notebook": notebook}
    job = json.loads((folder / "job.json").read_text())
    load = round(os.getloadavg()[0], 2)
    clock = Clock(make_score(job), job["minutes"])
    contenders[who](job, clock, folder)
    part = {"load": load, "points": clock.points, "seconds": clock.seconds}
    part["stopped_by_the_clock"] = clock.seconds > clock.limit
    (folder / f"{who}.json").write_text(json.dumps(part))


def seconds_to(points: list[tuple[float, float]], loss: float) -> float | None:
    """Return when a curve first reaches a loss, between its points linearly; None for never."""
    before: tuple[float, float] | None = None
    for seconds, value in points:
        if value <= loss:
            if before is None or value == before[1]:
                return seconds
            return before[0] + (seconds - before[0]) * (before[1] - loss) / (before[1] - value)
        before = (seconds, value)
    return None


def outcome(folder: Path) -> dict[str, Any]:
    """Return each contender's end, and the ratios of times to each peer's final loss."""
    parts = {who: json.loads((folder / f"{who}.json").read_text()) for who in WHO}
    ours = parts["penwright"]["points"]
    found: dict[str, Any] = {}
    for who, part in parts.items():
        if not part["points"]:
            found[who] = {"out_of_memory": True}
            continue
        loss = part["points"][-1][1]
        found[who] = {"seconds": part["seconds"], "loss": loss, "points": part["points"]}
        found[who] |= {name: part.get(name) for name in ("stopped_by_the_clock", "load")}
        if who != "penwright":
            theirs, mine = seconds_to(part["points"], loss), seconds_to(ours, loss)
            ratio = theirs / mine if theirs and mine else None
            found[who] |= {"ours_reaches_it_after": mine, "times_as_fast": ratio}
    return found


def draw(name: str, found: dict[str, Any], path: Path) -> None:
    """Write the plot of losses against seconds, as SVG."""
    from penwright.report.chart import as_svg
    from penwright.report.comparison import make_chart

    series = {who: part["points"] for who, part in found.items() if "points" in part}
    path.write_text(as_svg(make_chart(series, "seconds"), f"{name}: held-out loss"))


def main() -> None:
    """Run the parts that are missing, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("race"))
    parser.add_argument("--model", default="base")
    parser.add_argument("--random", action="store_true", help="random weights of that size")
    parser.add_argument("--minutes", type=float, default=60, help="of each contender at most")
    parser.add_argument("--share", type=float, default=1.0, help="of the data to use")
    parser.add_argument("--part", choices=WHO)
    keeping.add_options(parser)
    options = parser.parse_args()
    if options.part:
        take_part(options.part, options.folder)
        return
    result: dict[str, Any] = keeping.describe(
        "seconds to the same held-out loss, nats a token", ("torch", "transformers")
    )
    del result["load"]  # parts may have been run at other times; each has its own
    weights = "random weights" if options.random else "its weights"
    result |= {"model": f"{options.model}, {weights}", "data": {}}
    for path in options.data:
        folder = options.folder / path.stem
        if not (folder / "job.json").exists():
            prepare(path, options, folder)
        for who in WHO:
            if not (folder / f"{who}.json").exists():
                child = [sys.executable, __file__, "--part", who, "--folder", str(folder)]
                ended = subprocess.run(child, stdout=sys.stderr)
                if ended.returncode == -signal.SIGKILL:  # Linux does so where memory runs out
                    (folder / f"{who}.json").write_text(json.dumps({"points": []}))
                else:
                    ended.check_returncode()
        found = outcome(folder)
        share = json.loads((folder / "job.json").read_text())["share"]
        result["data"][path.stem] = {"share": share, **found}
        draw(path.stem, found, options.folder / f"{path.stem}.svg")
        if options.keep:
            draw(path.stem, found, IMAGES / f"race-{options.model}-{path.stem}.svg")
        for who, part in found.items():
            told = {key: value for key, value in part.items() if key != "points"}
            print(f"{path.stem} {who}: {json.dumps(told)}", flush=True)
    if options.keep:
        keeping.keep(f"race-{options.model}", result)
    if options.json:
        print(json.dumps({name: {who: one[who].get("times_as_fast") for who in WHO[1:]}
                          for name, one in result["data"].items()}))  # fmt: skip


if __name__ == "__main__":
    main()

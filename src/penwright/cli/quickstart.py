"""`penwright quickstart`"""

from __future__ import annotations

from importlib.resources import as_file, files

PROMPT = "A lost glove applies for a library card."
_SEED = 7


def quickstart() -> None:
    """See all of it work in three minutes: teach the small bundled model the sample stories."""
    from rich.console import Console

    from penwright.cli.inspect import show_inspection
    from penwright.cli.live import make_view
    from penwright.config import FinetuneConfig, InspectConfig
    from penwright.runs import RUNS, new_name
    from penwright.sample import Sample
    from penwright.verbs.finetune import run_finetune
    from penwright.verbs.inspect import run_inspect
    from penwright.verbs.writer import load

    console = Console(highlight=False)

    def heading(text: str) -> None:
        console.print(f"\n[bold]{text}[/bold]\n")

    def show(sample: Sample) -> None:
        console.print(f"[dim]{PROMPT}[/dim]", soft_wrap=True)
        console.print(sample.text.strip() + "\n", markup=False)

    with as_file(files("penwright") / "assets" / "samples" / "stories.jsonl") as stories:
        heading("The text: 134 short stories that come with Penwright")
        show_inspection(run_inspect([stories], InspectConfig(model="base", windows=1)), console)

        heading("What the model writes before it has read them")
        before = load("base").generate(f"{PROMPT}\n\n", seed=_SEED, max_new_tokens=120)[0]
        show(before)

        heading("Teaching it")
        name = new_name(RUNS, "quickstart")
        config = FinetuneConfig(model="base", name=name)
        with make_view() as view:
            run = run_finetune([stories], config, view, "penwright quickstart")

    heading("The same beginning, after")
    writer = run.writer
    show(writer.generate(PROMPT, seed=_SEED, max_new_tokens=250)[0])
    heading("Three more")
    for sample in writer.generate(PROMPT, n=3, seed=_SEED + 1, max_new_tokens=250):
        show(sample)
    view.show_result(run)
    console.print(f"With a text of your own: penwright finetune FILE --model {name}", markup=False)

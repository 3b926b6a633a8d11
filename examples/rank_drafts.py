"""Order drafts of a sentence by how likely a model finds them.

python examples/rank_drafts.py RUN DRAFTS.txt     (a draft on each line)
"""

from __future__ import annotations

import sys
from pathlib import Path

import penwright


def main(model: str, path: str) -> None:
    """Print the drafts, the likeliest first, with the mean surprise of their tokens in nats."""
    drafts = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    scored = penwright.score_tokens(model, path, documents="line")
    surprises = [draft.loss_sum / draft.scored for draft in scored]
    for surprise, text in sorted(zip(surprises, drafts, strict=True)):
        print(f"{surprise:5.2f}  {text}")


if __name__ == "__main__":
    main(*sys.argv[1:])

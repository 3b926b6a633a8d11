"""`penwright push`"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def push(
    model: str, repository: str, *, private: Annotated[bool, Parameter(negative="")] = False
) -> None:
    """Upload a model and its card to the Hugging Face Hub.

    Parameters
    ----------
    model
        A run, or a model's folder.
    repository
        Where to: USER/NAME. HF_TOKEN, or a login of huggingface_hub, says who you are.
    private
        Only you can see it.
    """
    from penwright import weights

    print(weights.push(model, repository, private=private))

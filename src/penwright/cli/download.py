"""`penwright download`"""

from __future__ import annotations


def download(name: str) -> None:
    """Fetch a model from the Hugging Face Hub, so that it is there without a network.

    Parameters
    ----------
    name
        A size (124M, 355M, 774M, 1558M) or a name on the Hub.
    """
    from penwright import weights

    print(weights.download(name))

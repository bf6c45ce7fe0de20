"""cuda: is there a GPU to compute on?"""

from __future__ import annotations

from .device import cupy


def is_available() -> bool:
    """Whether tensors can live on device "cuda"; `why_not` tells what is missing."""
    return not why_not()


def why_not() -> str:
    """What device "cuda" lacks on this machine, in one sentence; "" if nothing."""
    try:
        cupy()
    except RuntimeError as error:
        return str(error)
    return ""

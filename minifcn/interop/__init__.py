"""interop: weights and models of other libraries, by name; nothing that is read runs code."""

from .known import KNOWN, Known, recognise
from .load import LoadError, Report, load_weights
from .opened import Opened, open_model
from .read import read_state

__all__ = [
    "KNOWN", "Known", "LoadError", "Opened", "Report", "load_weights", "open_model", "read_state",
    "recognise",
]  # fmt: skip

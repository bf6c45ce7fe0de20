"""rules: operator -> the function that writes it as ONNX nodes. One `@rule("name")` per operator.

def r(w: Writer, step: Step) -> str      adds nodes, gives the name of what they make
"""

from __future__ import annotations

from collections.abc import Callable

from .align import Step
from .writer import Writer

Rule = Callable[[Writer, Step], str]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declare how the operators of these names are written."""

    def declare(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return declare


def plain(name: str, kind: str) -> None:
    """An operator without parameters that ONNX has too."""
    RULES[name] = lambda w, step: w.add(kind, w.names(step))


def broadcast(name: str, kind: str) -> None:
    """The same, for an operator that in ONNX repeats what is too small."""
    RULES[name] = lambda w, step: w.add(kind, w.operands(step))


_BACKWARD = "only a backward pass calls it"
_LOSS = "a loss; a network is exported without it"
_TRAINING = "of training; a network is exported as it infers"

# Operators that are not written, and why.
NOT_WRITTEN = {
    **dict.fromkeys(
        """relu_grad leaky_relu_grad clamp_grad adaptive_avg_pool_grad avg_pool_grad plane_put
        scatter_add scatter_along ties_put ties_take interpolate_grad max_pool_grad max_pool_take
        larger_grad pad_edges_grad prelu_bend prelu_below conv2d_weight batch_norm_weight
        batch_norm_grad cross_entropy_grad nll_loss_grad put_slice""".split(),
        _BACKWARD,
    ),
    **dict.fromkeys("cross_entropy nll_loss target_weight label_mean".split(), _LOSS),
    **dict.fromkeys("dropout batch_norm batch_norm_relu all_sum".split(), _TRAINING),
}

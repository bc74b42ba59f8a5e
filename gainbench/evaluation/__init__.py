"""One pass over a method's outputs, every metric, and what the numbers allow one to say.

The names below are imported on first use: the statistics and the metrics' catalogue need no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gainbench.evaluation.cost import count_cost
    from gainbench.evaluation.evaluate import Evaluation, evaluate_method
    from gainbench.evaluation.tracing import trace_shrinkage

__all__ = ["Evaluation", "count_cost", "evaluate_method", "trace_shrinkage"]

_HOMES = {
    "Evaluation": "gainbench.evaluation.evaluate",
    "count_cost": "gainbench.evaluation.cost",
    "evaluate_method": "gainbench.evaluation.evaluate",
    "trace_shrinkage": "gainbench.evaluation.tracing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

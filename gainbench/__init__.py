"""gainbench: what should guide a network that fills irregular holes - image gradients, binary edges, or nothing?

The names below are the public interface, together with ``gainbench.nn`` and ``gainbench.guidance``. They are imported
on first use, so that ``import gainbench`` is quick and loads no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gainbench.guidance import Guidance
    from gainbench.methods import Batch, Inpainter, Phase, TrainableInpainter
    from gainbench.report import build_report as report
    from gainbench.report.comparison import compare
    from gainbench.report.folders import evaluate
    from gainbench.run import run_suite
    from gainbench.run.check import check_method as check
    from gainbench.run.held_out import open_cell
    from gainbench.run.inpaint import inpaint
    from gainbench.run.store import read_results
    from gainbench.spec import Scale, load_suite

__all__ = [
    "Batch",
    "Guidance",
    "Inpainter",
    "Phase",
    "Scale",
    "TrainableInpainter",
    "check",
    "compare",
    "evaluate",
    "inpaint",
    "load_suite",
    "open_cell",
    "read_results",
    "report",
    "run_suite",
]

__version__ = "0.1.0"

_HOMES = {
    "Batch": ("gainbench.methods", "Batch"),
    "Guidance": ("gainbench.guidance", "Guidance"),
    "Inpainter": ("gainbench.methods", "Inpainter"),
    "Phase": ("gainbench.methods", "Phase"),
    "Scale": ("gainbench.spec", "Scale"),
    "TrainableInpainter": ("gainbench.methods", "TrainableInpainter"),
    "check": ("gainbench.run.check", "check_method"),
    "compare": ("gainbench.report.comparison", "compare"),
    "evaluate": ("gainbench.report.folders", "evaluate"),
    "inpaint": ("gainbench.run.inpaint", "inpaint"),
    "load_suite": ("gainbench.spec", "load_suite"),
    "open_cell": ("gainbench.run.held_out", "open_cell"),
    "read_results": ("gainbench.run.store", "read_results"),
    "report": ("gainbench.report", "build_report"),
    "run_suite": ("gainbench.run", "run_suite"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gainbench' has no attribute {name!r}; public names: {', '.join(__all__)}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

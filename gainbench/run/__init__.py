"""The grid: plan, run, store. Names are imported on first use, so that reading results loads no torch."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gainbench.run.grid import SuiteRun, run_suite
    from gainbench.run.plan import plan_suite
    from gainbench.run.planned import Plan
    from gainbench.run.store import StoredResults, read_results, read_suite

__all__ = ["Plan", "StoredResults", "SuiteRun", "plan_suite", "read_results", "read_suite", "run_suite"]

_HOMES = {
    "Plan": "planned",
    "StoredResults": "store",
    "SuiteRun": "grid",
    "plan_suite": "plan",
    "read_results": "store",
    "read_suite": "store",
    "run_suite": "grid",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gainbench.run' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gainbench.run.{_HOMES[name]}"), name)

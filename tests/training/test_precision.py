import torch

from gainbench.training import precision
from gainbench.training.precision import resolve_precision

CPU = torch.device("cpu")


def test_auto_follows_what_the_processor_says(monkeypatch):
    monkeypatch.setattr(precision, "_cpu_capabilities", lambda: {"avx2": True, "avx512_bf16": False, "amx_bf16": False})
    assert resolve_precision("auto", CPU) == "fp32"
    monkeypatch.setattr(precision, "_cpu_capabilities", lambda: {"avx512_bf16": True})
    assert resolve_precision("auto", CPU) == "bf16"


def test_an_explicit_precision_is_kept(monkeypatch):
    monkeypatch.setattr(precision, "_cpu_capabilities", dict)
    assert resolve_precision("bf16", CPU) == "bf16"
    assert resolve_precision("fp32", CPU) == "fp32"


def test_the_probe_answers_on_this_machine():
    assert resolve_precision("auto", CPU) in {"fp32", "bf16"}

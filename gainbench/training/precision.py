"""Which arithmetic a device does fast: detected, never assumed."""

from collections.abc import Mapping
from typing import Literal

import torch

from gainbench.spec import Precision


def _cpu_capabilities() -> Mapping[str, object]:
    probe = getattr(torch.cpu, "get_capabilities", None)
    if probe is not None:
        return dict(probe())
    # Releases of torch before get_capabilities answer one question at a time.
    questions = {"avx512_bf16": "_is_avx512_bf16_supported", "amx_bf16": "_is_amx_tile_supported"}
    return {name: bool(getattr(torch.cpu, question, lambda: False)()) for name, question in questions.items()}


def bf16_is_fast(device: torch.device) -> bool:
    """Whether the device has bfloat16 instructions; without them autocast falls back to loops many times slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = _cpu_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def resolve_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """``auto`` becomes ``bf16`` where the device computes it natively, else ``fp32``; other values are kept."""
    if precision == "auto":
        return "bf16" if bf16_is_fast(device) else "fp32"
    return precision

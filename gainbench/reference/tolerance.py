"""How far a number of a table may move when the same weights are evaluated on another machine.

A reference's rows are of float32 arithmetic, which every processor has. Processors sum in other orders, so that outputs
differ in their last bits, a few pixels fall on the other side of a rounding to 8 bit, and means move a little. What is
allowed lies between what rounding all weights to half precision changes in any table cell, at most, and what bfloat16
arithmetic does (``gain`` and ``partial_conv`` after 1,000 iterations at 64 px, cells of 19 to 240 pictures):

============  =============  ========  =======
metric        half weights   allowed   bfloat16
============  =============  ========  =======
l1 (%)        .0006          .02       .054
PSNR (dB)     .0009          .02       .042
SSIM          .00002         .0003     .0006
LPIPS         .00003         .0003     .0004
FD            .2 %           1.5 %     .9 %
KID           .0001          .001      .0014
============  =============  ========  =======

All of it is far below what tells methods apart: l1's interval was .37 to either side.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """What is allowed: the larger of a difference in the metric's unit and a share of the number itself."""

    absolute: float
    relative: float = 0.0

    def of(self, value: float) -> float:
        """The largest difference that is allowed from ``value``."""
        return max(self.absolute, self.relative * abs(value))


_L1, _PSNR, _SSIM, _LPIPS = Tolerance(0.02), Tolerance(0.02), Tolerance(0.0003), Tolerance(0.0003)
_FRECHET, _KID = Tolerance(0.1, 0.015), Tolerance(0.001)

TOLERANCES = {
    "l1_mean": _L1,
    "l1_hole": _L1,
    "l1_rel": _L1,
    "psnr_rgb": _PSNR,
    "ssim_rgb_g11": _SSIM,
    "lpips_alex": _LPIPS,
    "lpips_vgg": _LPIPS,
    "fd_mobilenetv2": _FRECHET,
    "kid_mobilenetv2": _KID,
    "fid": _FRECHET,
    "fid_pytorch": _FRECHET,
    "legacy_edgeconnect_ssim": _SSIM,
    "legacy_edgeconnect_mae": Tolerance(0.00005),
    "legacy_aotgan_ssim": _SSIM,
    "legacy_mmagic_mae": _L1,
    "legacy_lama_ssim": _SSIM,
    "legacy_zits_psnr": _PSNR,
}

OF_OTHERS = Tolerance(0.0, 0.005)
"""Of metrics that no shipped suite asks for."""


def tolerance_of(metric: str) -> Tolerance:
    """What is allowed for a metric."""
    return TOLERANCES.get(metric, OF_OTHERS)

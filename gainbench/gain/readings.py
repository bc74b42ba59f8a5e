"""Where the paper is silent: what we read into it, and the option that reads otherwise.

The source available to this project is a note on the paper whose equations and result tables are missing. What the
note states is built as stated; everything in this table is ours. README and reports print it, so that nobody mistakes a
reading for the paper.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """One thing that the paper does not tell.

    Attributes:
        unknown: what is not told.
        default: what we do, with the reason or the measurement behind it.
        switch: the option of ``gain`` that does otherwise; empty if there is none.
        params: names of the fields of ``gainbench.gain.method.GAINParams`` that the switch sets.
    """

    unknown: str
    default: str
    switch: str
    params: tuple[str, ...] = ()


READINGS: tuple[Reading, ...] = (
    Reading(
        "gradient kernel",
        "central difference, response 1 to a ramp of slope 1, replicate padding, on gray in [-1, 1]",
        "kernel = sobel, prewitt",
        ("kernel",),
    ),
    Reading(
        "first mask",
        "M_1 = M for both flows; grad_1 is 0 where the opening of M is smaller (at most .05 % of pixels)",
        "first_mask = opening",
        ("first_mask",),
    ),
    Reading("activation", "ELU after each sum, no normalisation", "activation = relu", ("activation",)),
    Reading(
        "form of the priority",
        "sum(M_x) times the absolute value of n . gradperp, unit vectors; the plain update where the largest priority "
        "is 0 (delta = .4 is the paper's)",
        "priority = sum, signed; delta = 0 ... .8",
        ("priority", "delta"),
    ),
    Reading(
        "gradient in the priority",
        "grad' = Pconv_GG(grad_i), mean over each half of the channels",
        "priority_gradient = grad: grad_i, averaged over the known part of the block's window",
        ("priority_gradient",),
    ),
    Reading(
        "weighting of l1",
        "plain mean over all pixels; where I* is clipped, gradients that lead back into [-1, 1] pass",
        "hole_weight = 6",
        ("hole_weight",),
    ),
    Reading(
        "adversarial weight",
        ".1 beside l1 at 1, for image and gradient alike; the pilot on validation holes stands in `GAIN`'s docstring",
        "adversarial_weight = 1, .1, 0",
        ("adversarial_weight",),
    ),
    Reading(
        "gradient penalty",
        "10, at one interpolate a picture, its gradient masked to the hole, in float32; a picture's score is the sum "
        "of its map",
        "gp_weight = 0",
        ("gp_weight",),
    ),
    Reading("attention", "image flow only, the gradient flow passes", "attention = false", ("attention",)),
    Reading("exchange between the flows", "GI and IG", "exchange = no_GI, no_IG, neither", ("exchange",)),
    Reading(
        "guidance",
        "gradient",
        "guidance = canny, hed, none (same backbone; none is a partial-convolution twin of equal multiplications)",
        ("guidance",),
    ),
    Reading("branches", "two", "branches = structure, content", ("branches",)),
    Reading(
        "discriminator of the gradient map",
        "on; both are SN-PatchGANs as wide as the generator's base, on the completed map and known",
        "gradient_discriminator = false",
        ("gradient_discriminator",),
    ),
    Reading(
        "width",
        "the scale's base; 64 in the paper's configuration (scale full)",
        "base = 8, 16, ...",
        ("base",),
    ),
    Reading(
        "learning rate of short trainings",
        "the paper's 1e-4 from 50,000 iterations on; 5e-4, under 300 2e-4, for others, linearly to 0 below scale full",
        "lr = ...",
        ("lr",),
    ),
    Reading("Adam's betas, steps of D to G, schedule", "(.5, .9), 1 : 1, constant, horizontal flips", ""),
    Reading(
        "dilations below 256 pixels",
        "2, 4, 8, 16 times size / 256, at least 1; below 128 pixels no statement about the priority is made",
        "",
    ),
    Reading(
        "initial weights",
        "orthogonal kernels between mirrored channels, in the encoders principal components of made-up pictures, "
        "exchange at .02 of the variance; then blocks are scaled until made-up pictures differ equally after each; "
        "under 300 iterations three channels start as means of the colours around",
        "colour_start = true, false",
        ("colour_start",),
    ),
)


def readings_markdown() -> str:
    """The table as Markdown, one row a reading; README holds a copy."""
    rows = [("the paper does not tell", "what we do", "option of `gain`"), ("---", "---", "---")]
    rows += [
        (reading.unknown, reading.default, f"`{reading.switch}`" if reading.switch else "") for reading in READINGS
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)

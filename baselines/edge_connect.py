"""Edges first, then colours (Nazeri, Ng, Joseph, Qureshi, Ebrahimi: EdgeConnect, 2019; arXiv 1901.00212).

G1 continues the edges of the visible part into the hole, G2 paints the picture along them. ``edge_canny`` is the
published system; ``edge_hed`` is the same two networks on HED's maps, so that only the detector differs. What differs
from the paper, most of it in short trainings, stands in the README beside this file.
"""

from abc import abstractmethod
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from gainbench import Batch, Guidance, Phase, Scale, TrainableInpainter
from gainbench.guidance import guidance
from gainbench.guidance.gradient import gray
from gainbench.nn.losses import (
    feature_matching_loss,
    non_saturating_discriminator_loss,
    non_saturating_generator_loss,
)
from gainbench.nn.perceptual import perceptual_loss, style_loss, vgg16

from .budget import SHORT_TRAINING, equal_macs_width, learning_rate
from .edge_networks import NORMS, EdgeConnectDiscriminator, EdgeConnectGenerator
from .edge_start import start_linear_

PUBLISHED_BASE = 64
"""Channels of the published first layer of both generators and both discriminators."""

BASE_PER_GAIN_BASE = 3.35
"""Width at which both generators have GAIN's MACs, per unit of GAIN's base; see ``budget.equal_macs_width``."""

PUBLISHED_LR, PUBLISHED_JOINT_LR = 1e-4, 1e-6
PAINT_FACTOR = 4
"""How much faster G2 learns in a short training: at ten times the published rate it forgets what it began with."""

PUBLISHED_SIZE = 256
PUBLISHED_DILATION = 2

FEATURES = tuple(f"relu{block}_1" for block in range(1, 6))
"""Layers that perceptual and style losses read (section 3.2); of VGG-16 here, of VGG-19 in the paper."""

SMALLEST_HOLE = 1e-3
"""Floor of the hole's share by which G2's l1 is divided."""


class EdgeConnectParams(BaseModel):
    """Options of both systems; weights and rates are the paper's (sections 3.1, 3.2 and 4.2)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: int | None = Field(
        default=None,
        ge=4,
        description="channels of the first layers; published: 64. Default: 64 at scale full, elsewhere GAIN's MACs",
    )
    edge_adversarial_weight: float = Field(default=1.0, ge=0.0, description="G1 (section 3.1)")
    feature_matching_weight: float = Field(default=10.0, ge=0.0, description="G1 (section 3.1)")
    l1_weight: float = Field(default=1.0, ge=0.0, description="G2, divided by the hole's share (section 3.2)")
    perceptual_weight: float = Field(default=0.1, ge=0.0, description="G2 (section 3.2)")
    style_weight: float = Field(default=250.0, ge=0.0, description="G2 (section 3.2)")
    adversarial_weight: float = Field(default=0.1, ge=0.0, description="G2 (section 3.2)")
    lr: float | None = Field(
        default=None,
        gt=0.0,
        description="Adam, generators, first two stages; default 1e-4 (section 4.2), under 50,000 iterations x 10 (G1) "
        "and x 4 (G2)",
    )
    joint_lr: float | None = Field(
        default=None, gt=0.0, description="Adam, generators, joint stage; default 1e-6 (section 4.2), x 10 likewise"
    )
    discriminator_rate: float = Field(default=0.1, gt=0.0, description="discriminators' rate over the generators'")
    beta1: float = Field(default=0.0, ge=0.0, lt=1.0, description="Adam (section 4.2)")
    beta2: float = Field(default=0.9, ge=0.0, lt=1.0, description="Adam (section 4.2)")
    paint_norm: Literal["instance", "batch"] | None = Field(
        default=None, description="of G2; published: instance. Default: instance, batch under 50,000 iterations"
    )
    paint_mask: bool | None = Field(
        default=None,
        description="G2 has the mask for an input and the visible mean colour in the hole; published: no mask, white. "
        "Default: no, yes under 50,000 iterations",
    )
    edge_fraction: float = Field(
        default=0.15, gt=0.0, lt=1.0, description="share of the training for G1; the paper trains to convergence"
    )
    joint_fraction: float = Field(
        default=0.05, ge=0.0, lt=1.0, description="share for both generators together, at the end; likewise"
    )

    @model_validator(mode="after")
    def _leaves_a_stage_to_the_picture(self) -> Self:
        if self.edge_fraction + self.joint_fraction >= 1.0:
            raise ValueError(
                f"edge_fraction {self.edge_fraction:g} and joint_fraction {self.joint_fraction:g} leave nothing of the "
                "training; expected a sum below 1, as G2 would not be trained before the joint stage otherwise"
            )
        return self


class EdgeCannyParams(EdgeConnectParams):
    """Options of ``edge_canny``: the detector's are EdgeConnect's, sigma 2 at 256 px and scikit-image's thresholds."""

    sigma: float = Field(
        default=2.0, gt=0.0, description="Gaussian in pixels at 256 px; scaled with size, at least .75"
    )
    low: float = Field(default=0.1, gt=0.0, description="lower threshold of the 3x3 Sobel magnitude of gray in [0, 1]")
    high: float = Field(default=0.2, gt=0.0, description="upper threshold of the 3x3 Sobel magnitude of gray in [0, 1]")

    @model_validator(mode="after")
    def _thresholds_are_in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}; expected low <= high")
        return self


class EdgeHEDParams(EdgeConnectParams):
    """Options of ``edge_hed``."""

    margin: int = Field(default=5, ge=0, description="pixels around the hole whose responses are dropped")


class EdgeConnect(TrainableInpainter):
    """Both generators, both discriminators, three stages; a subclass names the detector."""

    params: EdgeConnectParams

    def __init__(self, params: EdgeConnectParams, scale: Scale) -> None:
        super().__init__(params, scale)
        self.edges = self.detector()
        base = params.base or equal_macs_width(
            scale, published=PUBLISHED_BASE, per_gain_base=BASE_PER_GAIN_BASE, multiple=2
        )
        dilation = max(1, round(PUBLISHED_DILATION * scale.size / PUBLISHED_SIZE))
        self.G1 = EdgeConnectGenerator(in_channels=3, out_channels=1, base=base, dilation=dilation, spectral=True)
        short = scale.iterations < SHORT_TRAINING
        self.tells_hole = short if params.paint_mask is None else params.paint_mask
        self.G2 = EdgeConnectGenerator(
            in_channels=5 if self.tells_hole else 4,
            out_channels=3,
            base=base,
            dilation=dilation,
            spectral=False,
            # A short training cannot learn to restore the means that instance norm takes away.
            norm=NORMS[params.paint_norm or ("batch" if short else "instance")],
        )
        start_linear_(self.G2.layers)
        self.D1 = EdgeConnectDiscriminator(in_channels=2, base=base)
        self.D2 = EdgeConnectDiscriminator(in_channels=4, base=base)

    @abstractmethod
    def detector(self) -> Guidance:
        """What draws the edges."""

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        """Fill the holes; see :meth:`gainbench.Inpainter.inpaint`."""
        visible = image * known
        predicted, observed, valid = self.continued_edges(visible, known)
        return self._painted(visible, known, _completed_edges(observed, valid, predicted)).float()

    def continued_edges(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the first stage makes of the visible part.

        Args:
            image: (B, 3, H, W) in [0, 1]; zero in the hole.
            known: (B, 1, H, W); 1 = known, 0 = hole.

        Returns:
            G1's edges of the whole picture, the detector's of the visible part, and where those are valid, all
            (B, 1, H, W) in [0, 1].
        """
        observed, valid = self.edges.observed(image, known)
        return self._predicted_edges(image * known, known, observed), observed, valid

    def phases(self) -> list[Phase]:
        """G1; then G2 on G1's edges; then both, judged by the picture's discriminator alone (section 4.2)."""
        p = self.params
        betas = (p.beta1, p.beta2)
        first, last = p.edge_fraction, 1.0 - p.joint_fraction
        edge = p.lr or learning_rate(self.scale, published=PUBLISHED_LR)
        paint = p.lr or learning_rate(self.scale, published=PUBLISHED_LR, factor=PAINT_FACTOR)
        joint = p.joint_lr or learning_rate(self.scale, published=PUBLISHED_JOINT_LR)
        stages = [
            ("edge", [self.D1], [self.G1], self._edge_discriminator_loss, self._edge_loss, edge, (0.0, first)),
            ("paint", [self.D2], [self.G2], self._paint_discriminator_loss, self._paint_loss, paint, (first, last)),
            (
                "joint",
                [self.D2],
                [self.G1, self.G2],
                self._joint_discriminator_loss,
                self._joint_loss,
                joint,
                (last, 1.0),
            ),
        ]
        phases = []
        for name, judges, makers, judge_loss, maker_loss, lr, window in stages:
            phases.append(Phase(f"{name}_discriminator", judges, judge_loss, p.discriminator_rate * lr, betas, window))
            phases.append(Phase(name, makers, maker_loss, lr, betas, window))
        return phases

    def _predicted_edges(self, visible: Tensor, known: Tensor, observed: Tensor) -> Tensor:
        return torch.sigmoid(self.G1(torch.cat([gray(_white_hole(visible, known)), observed, 1 - known], 1)))

    def _painted(self, visible: Tensor, known: Tensor, edges: Tensor) -> Tensor:
        if self.tells_hole:
            given = [_mean_hole(visible, known), edges, 1 - known]
        else:
            given = [_white_hole(visible, known), edges]
        return (torch.tanh(self.G2(torch.cat(given, 1))) + 1) / 2

    def _observed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        observed: tuple[Tensor, Tensor] = batch.once(
            "edge_connect.observed", lambda: self.edges.observed(batch.visible, batch.known)
        )
        return observed

    def _edge_output(self, batch: Batch, *, learning: bool) -> Tensor:
        """What G1 predicts; with a graph only if it is ``learning``."""

        def predict() -> Tensor:
            with torch.set_grad_enabled(learning and torch.is_grad_enabled()):
                return self._predicted_edges(batch.visible, batch.known, self._observed(batch)[0]).float()

        output: Tensor = batch.once(("edge_connect.edges", learning), predict)
        return output

    def _paint_output(self, batch: Batch, *, joint: bool) -> tuple[Tensor, Tensor]:
        """The picture and the edges it follows; without ``joint`` no gradient reaches G1."""

        def paint() -> tuple[Tensor, Tensor]:
            edges = _completed_edges(*self._observed(batch), self._edge_output(batch, learning=joint))
            return self._painted(batch.visible, batch.known, edges).float(), edges

        output: tuple[Tensor, Tensor] = batch.once(("edge_connect.picture", joint), paint)
        return output

    def _edge_discriminator_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        shade, goal = gray(batch.image), self._edge_goal(batch)
        real, generated = (
            self.D1(torch.cat([edges, shade], 1))[-1]
            for edges in (goal, self._edge_output(batch, learning=True).detach())
        )
        return {"adversarial": non_saturating_discriminator_loss(real, generated)}

    def _edge_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        shade, goal = gray(batch.image), self._edge_goal(batch)
        with torch.no_grad():
            real = self.D1(torch.cat([goal, shade], 1))
        generated = self.D1(torch.cat([self._edge_output(batch, learning=True), shade], 1))
        return {
            "adversarial": self.params.edge_adversarial_weight * non_saturating_generator_loss(generated[-1]),
            "feature_matching": self.params.feature_matching_weight * feature_matching_loss(generated, real),
        }

    def _edge_goal(self, batch: Batch) -> Tensor:
        goal: Tensor = batch.once("edge_connect.goal", lambda: self.edges.target(batch.image))
        return goal

    def _paint_discriminator_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        return self._picture_discriminator_losses(batch, joint=False)

    def _joint_discriminator_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        return self._picture_discriminator_losses(batch, joint=True)

    def _paint_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        return self._picture_losses(batch, joint=False)

    def _joint_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        return self._picture_losses(batch, joint=True)

    def _picture_discriminator_losses(self, batch: Batch, *, joint: bool) -> dict[str, Tensor]:
        painted, edges = (x.detach() for x in self._paint_output(batch, joint=joint))
        real, generated = (self.D2(torch.cat([picture, edges], 1))[-1] for picture in (batch.image, painted))
        return {"adversarial": non_saturating_discriminator_loss(real, generated)}

    def _picture_losses(self, batch: Batch, *, joint: bool) -> dict[str, Tensor]:
        p = self.params
        painted, edges = self._paint_output(batch, joint=joint)
        scores = self.D2(torch.cat([painted, edges], 1))[-1]
        hole = 1 - batch.known
        with torch.no_grad():
            goal, hidden_goal = _features(batch.image, hole)
        found, hidden_found = _features(painted, hole)
        hole_share = batch.shared_mean(hole.mean()).clamp(min=SMALLEST_HOLE)
        return {
            "l1": p.l1_weight * (painted - batch.image).abs().mean() / hole_share,
            "perceptual": p.perceptual_weight * perceptual_loss(found, goal),
            "style": p.style_weight * style_loss(hidden_found, hidden_goal),
            "adversarial": p.adversarial_weight * non_saturating_generator_loss(scores),
        }


def _white_hole(visible: Tensor, known: Tensor) -> Tensor:
    """The hole in white, as the reference code has it; in the paper's text it is black."""
    return visible * known + (1 - known)


def _mean_hole(visible: Tensor, known: Tensor) -> Tensor:
    """The hole in the mean colour of what is visible."""
    mean = (visible * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
    return visible * known + mean * (1 - known)


def _features(picture: Tensor, hole: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What VGG sees of the picture, and of its hole alone, the rest black (section 3.2: style of the hidden part)."""
    seen = vgg16()(torch.cat([picture, picture * hole]), FEATURES, normalise=False)
    halves = {layer: features.chunk(2) for layer, features in seen.items()}
    whole, hidden = ({layer: half[i] for layer, half in halves.items()} for i in (0, 1))
    return whole, hidden


def _completed_edges(observed: Tensor, valid: Tensor, predicted: Tensor) -> Tensor:
    """Seen edges where they can be trusted, predicted ones elsewhere (section 3.2, C_comp)."""
    return torch.where(valid > 0.5, observed.to(predicted.dtype), predicted)


class EdgeCanny(EdgeConnect):
    """EdgeConnect with the detector it was published with: binary Canny edges."""

    name = "edge_canny"
    revision = 6
    Params = EdgeCannyParams
    params: EdgeCannyParams

    def detector(self) -> Guidance:
        """Canny with the options' sigma and thresholds."""
        return guidance("canny", sigma=self.params.sigma, low=self.params.low, high=self.params.high)


class EdgeHED(EdgeConnect):
    """EdgeConnect on HED's soft edges of objects."""

    name = "edge_hed"
    revision = 6
    Params = EdgeHEDParams
    params: EdgeHEDParams

    def detector(self) -> Guidance:
        """HED with its BSDS500 weights."""
        return guidance("hed", margin=self.params.margin)

"""Other people's free-form holes, and the square in the centre: ``deepfill-v2``, ``lama-*``, ``center``.

The published generators are written for pictures of 256 pixels. They are drawn at 256 here and every pixel is doubled
to reach the native 512, so that at 256 a hole is what the publication draws.
"""

import itertools
import math
from abc import abstractmethod
from statistics import NormalDist
from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gainbench.errors import MaskError
from gainbench.masks.draws import Draws
from gainbench.masks.identity import pixel_id
from gainbench.masks.protocols import Hole, NaturalProtocol
from gainbench.masks.statistics import BoolArray, resize_nearest
from gainbench.spec import MaskSpec

DRAWN_SIZE = 256
Canvas = NDArray[np.uint8]


def _canvas() -> Canvas:
    return np.zeros((DRAWN_SIZE, DRAWN_SIZE), np.uint8)


def _doubled(canvas: Canvas) -> BoolArray:
    # A byte times 257 is that byte twice: a sixth of the time of resizing.
    across = (canvas * np.uint16(257)).view(np.bool_)
    return np.repeat(across, 2, axis=0)


class DrawnProtocol(NaturalProtocol):
    """A natural protocol that needs no files."""

    def _draw(self, *key: Any) -> Hole:
        mask = _doubled(self._canvas(Draws(*key)))
        return Hole(mask, pixel_id(self.name, mask))

    def training_known(self, seed: int, sample: int, size: int) -> BoolArray:
        """Known pixels of a training sample; see `MaskProtocol`."""
        draws = Draws(self.name, self.version, "training", self.spec.seed, seed, sample)
        return ~resize_nearest(_doubled(self._training_canvas(draws)), size)

    @abstractmethod
    def _canvas(self, draws: Draws) -> Canvas:
        """A test hole: uint8 (256, 256), 1 = hole."""

    def _training_canvas(self, draws: Draws) -> Canvas:
        """A training hole, as `_canvas`."""
        return self._canvas(draws)


class CenterProtocol(DrawnProtocol):
    """A square of half the picture's side: in the centre for tests, anywhere else in training."""

    name = "center"
    version = 1
    attempts = 1

    def _canvas(self, draws: Draws) -> Canvas:  # noqa: ARG002 - the same square for every image
        return self._square(DRAWN_SIZE // 4, DRAWN_SIZE // 4)

    def _training_canvas(self, draws: Draws) -> Canvas:
        centre = DRAWN_SIZE // 4
        while True:
            top, left = draws.integers(0, DRAWN_SIZE // 2, 2).tolist()
            # The test hole itself is never a training hole.
            if (top, left) != (centre, centre):
                return self._square(top, left)

    @staticmethod
    def _square(top: int, left: int) -> Canvas:
        canvas = _canvas()
        canvas[top : top + DRAWN_SIZE // 2, left : left + DRAWN_SIZE // 2] = 1
        return canvas


class DeepFillProtocol(DrawnProtocol):
    """The brush of Yu et al. 2019 ("Free-form image inpainting with gated convolution"), section 3.

    One to three strokes of 4 to 11 vertices after the first. Segments point to 2 pi/5 within 2 pi/15, those that start
    at an even vertex to 2 pi minus that; lengths are normal with the mean of an eighth of the diagonal and a deviation
    of half of it, clipped to [0, twice the mean]; widths are 12 to 40 pixels at 256 with a disc at every vertex; the
    whole is mirrored along either axis with probability 1/2. Training holes join the brush with one box of 128 pixels
    that is shrunk by up to 16 pixels a side.
    """

    name = "deepfill-v2"
    version = 1

    MEAN_ANGLE: ClassVar[float] = 2 * math.pi / 5
    ANGLE_RANGE: ClassVar[float] = 2 * math.pi / 15
    LENGTH: ClassVar[float] = math.hypot(DRAWN_SIZE, DRAWN_SIZE) / 8
    WIDTH: ClassVar[tuple[int, int]] = (12, 40)

    def __init__(self, spec: MaskSpec) -> None:
        super().__init__(spec)
        self.footnotes = (
            (
                "deepfill-v2: brush widths are 12-40 pixels at 256 and scale with the picture; the published code "
                "keeps them at every size."
            ),
        )

    def _canvas(self, draws: Draws) -> Canvas:
        canvas = _canvas()
        for _ in range(draws.integer(1, 3)):
            self._stroke(canvas, draws)
        mirrored_down, mirrored_across = draws.integers(0, 1, 2).tolist()
        return np.ascontiguousarray(canvas[:: 1 - 2 * mirrored_down, :: 1 - 2 * mirrored_across])

    def _stroke(self, canvas: Canvas, draws: Draws) -> None:
        segments, x, y = draws.integers(np.array([4, 0, 0]), np.array([11, DRAWN_SIZE - 1, DRAWN_SIZE - 1]), 3).tolist()
        below, above, width, *fractions = draws.fractions(3 + 2 * segments).tolist()
        least = self.MEAN_ANGLE - below * self.ANGLE_RANGE
        most = self.MEAN_ANGLE + above * self.ANGLE_RANGE
        length = NormalDist(self.LENGTH, self.LENGTH // 2)
        vertices = [(x, y)]
        for index in range(segments):
            angle = least + (most - least) * fractions[2 * index]
            if index % 2 == 0:
                angle = 2 * math.pi - angle
            reach = min(max(length.inv_cdf(fractions[2 * index + 1]), 0.0), 2 * self.LENGTH)
            x = int(min(max(x + reach * math.cos(angle), 0), DRAWN_SIZE))
            y = int(min(max(y + reach * math.sin(angle), 0), DRAWN_SIZE))
            vertices.append((x, y))
        thickness = int(self.WIDTH[0] + (self.WIDTH[1] - self.WIDTH[0]) * width)
        # OpenCV rounds the ends of thick lines: each is the disc of its vertex.
        cv2.polylines(canvas, [np.array(vertices, np.int32)], isClosed=False, color=1, thickness=thickness)

    def _training_canvas(self, draws: Draws) -> Canvas:
        canvas = self._canvas(draws)
        side = DRAWN_SIZE // 2
        top, left = draws.integers(0, DRAWN_SIZE - side, 2).tolist()
        down, across = draws.integers(0, side // 8, 2).tolist()
        canvas[top + down : top + side - down, left + across : left + side - across] = 1
        return canvas


class Strokes(NamedTuple):
    """Polylines of a LaMa configuration: how many, and the bounds of their widths and lengths in pixels at 256."""

    number: tuple[int, int]
    max_width: int
    max_length: int


class Boxes(NamedTuple):
    """Rectangles of a LaMa configuration: how many, their least and largest side (exclusive), and their margin."""

    number: tuple[int, int]
    side: tuple[int, int]
    margin: int


class LamaProtocol(DrawnProtocol):
    """Strokes or boxes of Suvorov et al. 2022 ("Resolution-robust large mask inpainting with Fourier convolutions").

    A polyline has 1 to 5 segments at .01, 1.01, 2.01 or 3.01 rad (2 pi minus it in even strokes), each 10 to
    ``max_length`` + 9 pixels long and 5 to ``max_width`` + 4 wide. Where a configuration has boxes, a hole is made of
    strokes or of boxes, 1 : .3. A hole of more than half of the picture is drawn again.
    """

    version = 1
    strokes: ClassVar[Strokes]
    boxes: ClassVar[Boxes | None] = None

    MAX_AREA: ClassVar[float] = 0.5
    BOXES_PER_STROKES: ClassVar[float] = 0.3

    def __init__(self, spec: MaskSpec) -> None:
        super().__init__(spec)
        self.footnotes = (
            (
                f"{self.name}: a hole of more than half of the picture is drawn again; the published generator leaves "
                "such pictures out."
            ),
        )

    def _canvas(self, draws: Draws) -> Canvas:
        for _ in range(1000):
            canvas = _canvas()
            share = self.BOXES_PER_STROKES / (1 + self.BOXES_PER_STROKES)
            if self.boxes is not None and draws.fractions(1)[0] < share:
                self._draw_boxes(canvas, self.boxes, draws)
            else:
                self._draw_strokes(canvas, draws)
            if cv2.countNonZero(canvas) <= self.MAX_AREA * canvas.size:
                return canvas
        raise MaskError(f"{self.name}: a thousand holes in a row hide more than half of the picture")

    def _draw_strokes(self, canvas: Canvas, draws: Draws) -> None:
        strokes = draws.integer(*self.strokes.number)
        segments = draws.integers(1, 5, strokes).tolist()
        starts = draws.integers(0, DRAWN_SIZE - 1, 2 * strokes).tolist()
        total = sum(segments)
        headings = draws.integers(0, 3, total).tolist()
        lengths = draws.integers(10, self.strokes.max_length + 9, total).tolist()
        widths = draws.integers(5, self.strokes.max_width + 4, total).tolist()
        drawn = zip(headings, lengths, widths, strict=True)
        for stroke in range(strokes):
            x, y = starts[2 * stroke : 2 * stroke + 2]
            for heading, length, width in itertools.islice(drawn, segments[stroke]):
                angle = 0.01 + heading
                if stroke % 2 == 0:
                    angle = 2 * math.pi - angle
                end_x = min(max(int(x + length * math.sin(angle)), 0), DRAWN_SIZE)
                end_y = min(max(int(y + length * math.cos(angle)), 0), DRAWN_SIZE)
                cv2.line(canvas, (x, y), (end_x, end_y), 1, width)
                x, y = end_x, end_y

    @staticmethod
    def _draw_boxes(canvas: Canvas, boxes: Boxes, draws: Draws) -> None:
        for _ in range(draws.integer(*boxes.number)):
            sides = draws.integers(boxes.side[0], boxes.side[1] - 1, 2)
            left, top = draws.integers(boxes.margin, DRAWN_SIZE - boxes.margin - sides, 2).tolist()
            width, height = sides.tolist()
            canvas[top : top + height, left : left + width] = 1


class LamaThinProtocol(LamaProtocol):
    """Many thin strokes; see `LamaProtocol`."""

    name = "lama-thin"
    strokes = Strokes((4, 50), 10, 40)


class LamaMediumProtocol(LamaProtocol):
    """Four or five strokes of middling width, or boxes; see `LamaProtocol`."""

    name = "lama-medium"
    strokes = Strokes((4, 5), 50, 100)
    boxes = Boxes((1, 5), (10, 50), 0)


class LamaThickProtocol(LamaProtocol):
    """One to five thick strokes, or boxes; see `LamaProtocol`."""

    name = "lama-thick"
    strokes = Strokes((1, 5), 100, 200)
    boxes = Boxes((1, 3), (30, 150), 10)

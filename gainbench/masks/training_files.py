"""Training holes where the test holes are a user's files: other files of his, or ``irregular-v1``; never the same."""

from abc import ABC, abstractmethod
from pathlib import Path

import cv2
import numpy as np

from gainbench.errors import MaskError
from gainbench.keyed import content_hash
from gainbench.masks.draws import Draws
from gainbench.masks.folders import MaskFolder, file_hashes, open_folder
from gainbench.masks.irregular import IrregularProtocol
from gainbench.masks.protocols import MaskProtocol
from gainbench.masks.reading import decode_grey, decode_mask, mask_content
from gainbench.masks.statistics import NATIVE_SIZE, BoolArray, resize_nearest
from gainbench.spec import BINS, MaskSpec


class TrainingHoles(ABC):
    """Where a protocol that reads test holes from files takes its training holes from."""

    content: str
    """Hash over what decides them."""

    @abstractmethod
    def known(self, seed: int, sample: int, size: int) -> BoolArray:
        """See `MaskProtocol.training_known`."""


class DrawnTraining(TrainingHoles):
    """Training holes of ``irregular-v1``: made for the same measures as NVIDIA's test set, and never a file of it."""

    def __init__(self, seed: int) -> None:
        self._protocol = IrregularProtocol(MaskSpec(seed=seed))
        self.content = self._protocol.hash

    def known(self, seed: int, sample: int, size: int) -> BoolArray:
        """See `MaskProtocol.training_known`."""
        return self._protocol.training_known(seed, sample, size)


class FileTraining(TrainingHoles):
    """Training holes from a folder, each file as it is.

    Raises:
        MaskError: the folder is refused as one of test masks would be (see `open_folder`), or a file of it is also a
            test mask.
    """

    def __init__(self, path: Path, spec: MaskSpec, test: MaskFolder) -> None:
        self._path = path
        self._seed = spec.seed
        self._invert = bool(spec.invert)
        hashes = self._checked(spec, test)
        tested = {file.file_hash: file.name for file in test.files}
        shared = [name for name, digest in hashes.items() if digest in tested]
        if shared:
            raise MaskError(
                f"{len(shared)} of {len(hashes)} masks in `training_path` {self._path} are test masks in {test.path} "
                f"({shared[0]} is {tested[hashes[shared[0]]]}): methods must never train on test holes. Point it at "
                "other files, or leave it out to train on irregular-v1"
            )
        self._names = list(hashes)
        self.content = content_hash(hashes)

    def _checked(self, spec: MaskSpec, test: MaskFolder) -> dict[str, str]:
        """The hash of each file's bytes by name, sorted, of a folder that is fit to train on."""
        folder = open_folder(
            self._path, spec.protocol, invert=spec.invert, group=lambda _: "", flipped_with=f"the masks in {test.path}"
        )
        return {file.name: file.file_hash for file in folder.files}

    def known(self, seed: int, sample: int, size: int) -> BoolArray:
        """See `MaskProtocol.training_known`."""
        draws = Draws("training file", self._seed, seed, sample)
        return ~resize_nearest(self._hole(draws), size)

    def _hole(self, draws: Draws) -> BoolArray:
        path = self._path / self._names[draws.integer(0, len(self._names) - 1)]
        return decode_mask(mask_content(path), path, invert=self._invert)


class NvidiaTraining(FileTraining):
    """NVIDIA's raw training masks (55,116 files, black = hole): cut at .6, dilated by 9-49 px, turned and shifted.

    A hole outside of the test set's range of areas is drawn again. The range of shifts and the round dilation are ours:
    the publication names neither.
    """

    CUT = 0.6
    DILATION = (9, 49)
    MAX_SHIFT = NATIVE_SIZE // 4

    def _checked(self, spec: MaskSpec, _test: MaskFolder) -> dict[str, str]:
        # Raw masks are grey and mostly white by right: they are judged when they are drawn.
        return file_hashes(self._path, spec.protocol)

    def _hole(self, draws: Draws) -> BoolArray:
        for _ in range(100):
            hole = self._draw_once(draws)
            if BINS[0][0] < np.count_nonzero(hole) / hole.size <= BINS[-1][1]:
                return hole
        raise MaskError(
            f"a hundred masks in {self._path} in a row hide too little or too much; are black pixels holes?"
        )

    def _draw_once(self, draws: Draws) -> BoolArray:
        path = self._path / self._names[draws.integer(0, len(self._names) - 1)]
        degrees, right, down, width = draws.integers(
            np.array([0, -self.MAX_SHIFT, -self.MAX_SHIFT, self.DILATION[0]]),
            np.array([359, self.MAX_SHIFT, self.MAX_SHIFT, self.DILATION[1]]),
            4,
        ).tolist()
        picture = decode_grey(mask_content(path), path)
        known = np.uint8(255) * (picture > self.CUT * 255)
        height, across = known.shape
        turn = cv2.getRotationMatrix2D((across / 2, height / 2), degrees, 1.0)
        # The window of 512 pixels around the picture's centre, shifted: this is the crop.
        turn[:, 2] += (NATIVE_SIZE - across) / 2 + right, (NATIVE_SIZE - height) / 2 + down
        window = (NATIVE_SIZE, NATIVE_SIZE)
        moved = cv2.warpAffine(known, turn, window, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
        hole: BoolArray = cv2.distanceTransform(moved, cv2.DIST_L2, cv2.DIST_MASK_5) <= (width - 1) / 2
        return hole


def training_holes(spec: MaskSpec, test: MaskFolder, files: type[FileTraining]) -> TrainingHoles:
    """The suite's ``training_path`` read by ``files``, or ``irregular-v1`` where there is none."""
    return DrawnTraining(spec.seed) if spec.training_path is None else files(spec.training_path, spec, test)


class FileProtocol(MaskProtocol):
    """A protocol whose test holes are files."""

    def __init__(self, spec: MaskSpec, folder: MaskFolder, training: type[FileTraining]) -> None:
        super().__init__(spec)
        self.folder = folder
        self.training = training_holes(spec, folder, training)
        if spec.training_path is None:
            self.footnotes += (f"{self.name}: methods are trained on holes of irregular-v1.",)

    def _content(self) -> dict[str, object]:
        return {"files": self.folder.sha256, "pairing": self.spec.pairing, "training": self.training.content}

    def training_known(self, seed: int, sample: int, size: int) -> BoolArray:
        """Known pixels of a training sample, from ``training_path`` or ``irregular-v1``; see `MaskProtocol`."""
        return self.training.known(seed, sample, size)

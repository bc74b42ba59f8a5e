"""Hostile files, made on the spot: what strangers' folders hold, and what a disk that ran full leaves."""

import io
import itertools
import os
import pickle
import resource
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIDE = 64


def smooth(number: int, side: int = SIDE) -> Image.Image:
    coarse = Image.fromarray(np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def square(side: int = SIDE) -> Image.Image:
    hole = np.zeros((side, side), np.uint8)
    hole[side // 4 : side // 2, side // 4 : side // 2] = 255
    return Image.fromarray(hole)


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    written = io.BytesIO()
    picture.copy().save(written, kind, **options)
    return written.getvalue()


def bomb(width: int = 30_000, height: int = 30_000, colour: int = 0) -> bytes:
    """A PNG of a few kilobytes that promises gigabytes; ``colour`` is PNG's colour type, 0 gray, 2 RGB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    pixels = zlib.compress(bytes(3_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _deep(picture: Image.Image) -> bytes:
    return bytes(cv2.imencode(".png", np.asarray(picture).astype(np.uint16) * 257)[1])


def variants(picture: Image.Image, other: Image.Image) -> dict[str, Callable[[], tuple[str, bytes]]]:
    """Name -> file name and bytes of a hostile variant of a picture."""
    return {
        "zero bytes": lambda: ("zero.png", b""),
        "truncated": lambda: ("cut.png", (whole := encoded(picture))[: len(whole) * 2 // 3]),
        "truncated JPEG": lambda: ("cut.jpg", (whole := encoded(picture, "JPEG"))[: len(whole) * 2 // 3]),
        "mislabelled text": lambda: ("text.png", b"<html>404 not found</html>"),
        "animated GIF": lambda: ("moving.gif", encoded(picture, "GIF", save_all=True, append_images=[other])),
        "animated PNG": lambda: ("moving.png", encoded(picture, save_all=True, append_images=[other])),
        "CMYK": lambda: ("cmyk.tif", encoded(picture.convert("CMYK"), "TIFF")),
        "16 bit": lambda: ("deep.png", _deep(picture)),
        "1 pixel": lambda: ("pixel.png", encoded(picture.crop((0, 0, 1, 1)))),
        "bomb": lambda: ("bomb.png", bomb()),
        "RGB bomb": lambda: ("bomb-rgb.png", bomb(colour=2)),
    }


PICTURES = variants(smooth(1), smooth(2)) | {"palette": lambda: ("palette.png", encoded(smooth(1).convert("P")))}
"""What a data set must skip."""

MASKS = variants(square(), Image.eval(square(), lambda value: 255 - value))
"""What no mask can be."""

ODD_NAMES = ("a b.png", "größe-雪-🙂.png", "two\nlines.png", "[red]x[b].png", "-rf.png", "'\"$(x).png", "%s{0}.png")
"""Names that are only names."""


def place(folder: Path, files: dict[str, Callable[[], tuple[str, bytes]]]) -> list[str]:
    """Write hostile files into a folder; returns their names, sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    for make in files.values():
        name, content = make()
        (folder / name).write_bytes(content)
    return sorted(path.name for path in folder.iterdir())


def place_no_files(folder: Path) -> list[str]:
    """Names of pictures that are no plain files: what cannot be opened, also by root.

    Permissions are no obstacle to root, so what is unreadable here is a folder, a pipe, or a link that leads nowhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dangling.png").symlink_to(folder / "nothing")
    (folder / "itself.png").symlink_to(folder / "itself.png")
    os.mkfifo(folder / "pipe.png")
    return ["dangling.png", "itself.png", "pipe.png"]


class Runs:
    """Pickles to a command that leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self._marker}'",)


def code(marker: Path) -> bytes:
    return pickle.dumps(Runs(marker), protocol=2)


def laughs(last: str = "datasets") -> str:
    """A billion values in a few lines."""
    letters = "abcdefghi"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, letter in itertools.pairwise(letters):
        lines.append(f"{letter}: &{letter} [{', '.join([f'*{before}'] * 10)}]")
    return "\n".join([*lines, f"{last}: *{letters[-1]}", ""])


@contextmanager
def bounded_memory(more: int = 256 << 20) -> Iterator[None]:
    """Whoever asks for more than so many bytes in here gets a MemoryError instead."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

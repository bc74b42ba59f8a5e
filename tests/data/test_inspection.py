import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gainbench.data.inspection import inspect_bytes, inspect_file
from gainbench.raster import PIXELS_LIMIT

RGB = np.random.default_rng(7).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    # A copy, because saving leaves its settings behind in the picture.
    picture.copy().save(buffer, kind, **options)
    return buffer.getvalue()


def deep(suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, RGB.astype(np.uint16) * 257)[1])


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises many pixels and holds none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


COLOUR = Image.fromarray(RGB)
ALPHA = COLOUR.copy()
ALPHA.putalpha(128)


def frames() -> list[Image.Image]:
    return [Image.fromarray(np.roll(RGB, shift, axis=0)) for shift in (5, 9)]


USABLE: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded(COLOUR, "PNG"),
    "JPEG": lambda: encoded(COLOUR, "JPEG"),
    "progressive JPEG": lambda: encoded(COLOUR, "JPEG", progressive=True),
    "MPO of a telephone": lambda: encoded(COLOUR, "MPO", save_all=True, append_images=frames()),
    "WebP": lambda: encoded(COLOUR, "WEBP", lossless=True),
    "BMP": lambda: encoded(COLOUR, "BMP"),
    "TIFF": lambda: encoded(COLOUR, "TIFF"),
    "PPM": lambda: encoded(COLOUR, "PPM"),
}

HOSTILE: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty": (lambda: b"", "unreadable", "empty file"),
    "text": (lambda: b"<html>404 not found</html>" * 20, "unreadable", "not a picture"),
    "PostScript": (lambda: encoded(COLOUR, "EPS"), "unreadable", "not a picture"),
    "PDF": (lambda: encoded(COLOUR, "PDF"), "unreadable", "not a picture"),
    "truncated JPEG": (lambda: encoded(COLOUR, "JPEG")[:-400], "unreadable", "truncated"),
    "truncated PNG": (lambda: encoded(COLOUR, "PNG")[:-900], "unreadable", "truncated"),
    "truncated header": (lambda: encoded(COLOUR, "PNG")[:20], "unreadable", ""),
    "PNG with a broken checksum": (lambda: encoded(COLOUR, "PNG").replace(b"IHDR", b"IHDX"), "unreadable", ""),
    "CMYK": (lambda: encoded(COLOUR.convert("CMYK"), "JPEG"), "refused", "CMYK"),
    "palette": (lambda: encoded(COLOUR.convert("P"), "PNG"), "refused", "palette"),
    "two colours": (lambda: encoded(COLOUR.convert("1"), "PNG"), "refused", "two colours"),
    "16-bit RGB PNG": (lambda: deep(".png"), "refused", "8 bits"),
    "16-bit RGB TIFF": (lambda: deep(".tiff"), "refused", "8 bits"),
    "16-bit RGB PPM": (lambda: deep(".ppm"), "refused", "8 bits"),
    "16-bit gray": (lambda: encoded(Image.fromarray(RGB[..., 0].astype(np.uint16)), "PNG"), "refused", "8 bits"),
    "float TIFF": (lambda: encoded(Image.fromarray(RGB[..., 0].astype(np.float32)), "TIFF"), "refused", "8 bits"),
    "RGBA": (lambda: encoded(ALPHA, "PNG"), "refused", "alpha"),
    "RGBA WebP": (lambda: encoded(ALPHA, "WEBP"), "refused", "alpha"),
    "gray and alpha": (lambda: encoded(ALPHA.convert("LA"), "PNG"), "refused", "alpha"),
    "transparent colour": (lambda: encoded(COLOUR, "PNG", transparency=(0, 0, 0)), "refused", "alpha"),
    "animated GIF": (lambda: encoded(COLOUR, "GIF", save_all=True, append_images=frames()), "refused", "animated"),
    "animated PNG": (lambda: encoded(COLOUR, "PNG", save_all=True, append_images=frames()), "refused", "animated"),
    "animated WebP": (lambda: encoded(COLOUR, "WEBP", save_all=True, append_images=frames()), "refused", "animated"),
    "TIFF of pages": (lambda: encoded(COLOUR, "TIFF", save_all=True, append_images=frames()), "refused", "pages"),
    "bomb": (lambda: png_header(60_000, 60_000), "refused", "decompression bomb"),
    "bomb just over the limit": (lambda: png_header(PIXELS_LIMIT + 1, 1), "refused", "decompression bomb"),
}


@pytest.mark.parametrize("name", USABLE)
def test_ordinary_pictures_are_usable(name: str) -> None:
    content = USABLE[name]()
    found = inspect_bytes(content)
    assert (found.kind, found.reason) == ("rgb", "")
    assert (found.width, found.height) == (60, 40)
    assert found.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", HOSTILE)
def test_every_other_kind_has_its_reason(tmp_path: Path, name: str) -> None:
    make, kind, reason = HOSTILE[name]
    path = tmp_path / "picture.jpg"
    path.write_bytes(make())
    found = inspect_file(path)
    assert found.kind == kind
    assert reason in found.reason
    assert found.reason


def test_a_bomb_is_refused_even_where_warnings_are_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "decompression bomb" in inspect_bytes(png_header(PIXELS_LIMIT + 1, 1)).reason


def test_gray_is_told_apart_and_decoded_to_its_end() -> None:
    whole = encoded(COLOUR.convert("L"), "JPEG")
    assert inspect_bytes(whole).kind == "gray"
    assert inspect_bytes(whole[: len(whole) // 2]).kind == "unreadable"


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "really-a-png.jpg").write_bytes(encoded(COLOUR, "PNG"))
    assert inspect_file(tmp_path / "really-a-png.jpg").kind == "rgb"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sides_are_those_of_the_upright_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = inspect_bytes(encoded(COLOUR, "JPEG", exif=exif))
    assert (found.width, found.height) == ((60, 40) if orientation < 5 else (40, 60))


def test_what_is_not_a_plain_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nothing.jpg")
    for name, reason in (
        ("pipe.jpg", "not a plain file"),
        ("folder.jpg", "not a plain file"),
        ("loop.jpg", "cannot be opened"),
        ("dangling.jpg", "cannot be opened"),
        ("missing.jpg", "cannot be opened"),
    ):
        found = inspect_file(tmp_path / name)
        assert found.kind == "unreadable"
        assert reason in found.reason


def test_a_file_of_absurd_length_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.png"
    with path.open("wb") as opened:
        opened.truncate(2**40)
    assert "bytes" in inspect_file(path).reason


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_damage_ever_raises(data: st.DataObject) -> None:
    content = bytearray(USABLE[data.draw(st.sampled_from(sorted(USABLE)))]())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert inspect_bytes(bytes(content)).kind in ("rgb", "gray", "refused", "unreadable")

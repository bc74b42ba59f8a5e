import sys

import cv2
import numpy as np
import pytest
import torch
from gainbench_baselines.classical import Biharmonic, MeanFill, NavierStokes, PatchMatch, RadiusParams, Telea
from pydantic import ValidationError
from torch import Tensor

from gainbench import Inpainter
from gainbench.spec import Scale, scales

FILLERS: list[type[Inpainter]] = [Telea, NavierStokes, MeanFill, Biharmonic, PatchMatch]


@pytest.fixture(scope="module")
def scale() -> Scale:
    return scales()["tiny"]


def build(method: type[Inpainter], scale: Scale, **options: float) -> Inpainter:
    return method(method.Params(**options), scale)


def pictures_and_known(count: int = 2, side: int = 24) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    image = (torch.rand(count, 3, side, side, generator=generator) * 255).round() / 255
    known = torch.ones(count, 1, side, side)
    known[0, :, 5:12, 8:19] = 0
    known[-1, :, 14:, 3:9] = 0
    return image, known


@pytest.mark.parametrize("method", FILLERS)
def test_known_pixels_pass_and_shapes_are_kept(method: type[Inpainter], scale: Scale) -> None:
    image, known = pictures_and_known()
    out = build(method, scale).inpaint(image * known, known)
    assert out.shape == image.shape
    assert out.dtype == image.dtype
    assert out.min() >= 0
    assert out.max() <= 1
    inside = known.expand_as(out) > 0.5
    torch.testing.assert_close(out[inside], image[inside], atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", FILLERS)
def test_hidden_pixels_never_change_the_output(method: type[Inpainter], scale: Scale) -> None:
    image, known = pictures_and_known()
    filler = build(method, scale)
    other = torch.where(known > 0.5, image, torch.rand(image.shape, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(filler.inpaint(image, known), filler.inpaint(other, known))


@pytest.mark.parametrize("method", FILLERS)
def test_a_flat_picture_stays_flat(method: type[Inpainter], scale: Scale) -> None:
    image = torch.tensor([51.0, 102.0, 204.0]).div(255).view(1, 3, 1, 1).expand(1, 3, 20, 20)
    known = torch.ones(1, 1, 20, 20)
    known[:, :, 6:14, 4:15] = 0
    # Two levels of 255: OpenCV's fast marching truncates where it should round.
    torch.testing.assert_close(build(method, scale).inpaint(image * known, known), image, atol=2.5 / 255, rtol=0)


@pytest.mark.parametrize("method", FILLERS)
def test_each_picture_of_a_batch_is_filled_alone(method: type[Inpainter], scale: Scale) -> None:
    image, known = pictures_and_known()
    filler = build(method, scale)
    together = filler.inpaint(image, known)
    alone = torch.cat([filler.inpaint(image[i : i + 1], known[i : i + 1]) for i in range(2)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("method", FILLERS)
def test_no_hole_returns_the_picture_and_no_known_pixel_gives_gray(method: type[Inpainter], scale: Scale) -> None:
    image, _ = pictures_and_known()
    filler = build(method, scale)
    torch.testing.assert_close(filler.inpaint(image, torch.ones(2, 1, 24, 24)), image, atol=1e-6, rtol=0)
    blind = filler.inpaint(image, torch.zeros(2, 1, 24, 24))
    torch.testing.assert_close(blind, torch.full_like(image, 128 / 255))


def test_mean_fill_takes_the_mean_of_known_pixels_per_channel(scale: Scale) -> None:
    image = torch.zeros(1, 3, 2, 2)
    image[0, :, 0, 0] = torch.tensor([10.0, 20.0, 30.0]) / 255
    image[0, :, 0, 1] = torch.tensor([20.0, 40.0, 90.0]) / 255
    image[0, :, 1, 0] = torch.tensor([30.0, 60.0, 60.0]) / 255
    image[0, :, 1, 1] = 1
    known = torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]])
    out = build(MeanFill, scale).inpaint(image, known)
    torch.testing.assert_close(out[0, :, 1, 1] * 255, torch.tensor([20.0, 40.0, 60.0]))


@pytest.mark.parametrize(("method", "flag"), [(Telea, cv2.INPAINT_TELEA), (NavierStokes, cv2.INPAINT_NS)])
def test_opencv_fillers_use_the_radius_and_white_as_hole(method: type[Inpainter], flag: int, scale: Scale) -> None:
    image, known = pictures_and_known(count=1)
    picture = (image * known * 255).round().to(torch.uint8)[0].permute(1, 2, 0).numpy()
    hole = ((known[0, 0] < 0.5).numpy() * 255).astype(np.uint8)
    for radius in (3, 7):
        expected = np.stack([cv2.inpaint(np.ascontiguousarray(picture[..., c]), hole, radius, flag) for c in range(3)])
        out = build(method, scale, radius=radius).inpaint(image, known)[0]
        np.testing.assert_array_equal((out * 255).round().numpy().astype(np.uint8), expected)


def test_biharmonic_continues_a_ramp(scale: Scale) -> None:
    # A plane solves the biharmonic equation, so it is what the smoothest filling must find.
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    image = ((4 * rows + 6 * columns + 20) / 255).expand(1, 3, 20, 20)
    known = torch.ones(1, 1, 20, 20)
    known[:, :, 6:14, 5:15] = 0
    torch.testing.assert_close(build(Biharmonic, scale).inpaint(image, known), image, atol=1.1 / 255, rtol=0)


def test_patchmatch_continues_a_pattern_with_its_own_patches(scale: Scale) -> None:
    # Stripes of period 4: a diffusion blurs them, an exemplar filler finds whole patches that continue them.
    stripes = ((torch.arange(48) // 2) % 2).float().mul(0.8).add(0.1).expand(1, 3, 48, 48)
    known = torch.ones(1, 1, 48, 48)
    known[..., 16:30, 18:33] = 0
    errors = {
        method.name: ((build(method, scale).inpaint(stripes * known, known) - stripes).abs() * (1 - known)).sum()
        for method in (PatchMatch, Telea)
    }
    assert errors["patchmatch"] < 0.5 * errors["telea"]


@pytest.mark.parametrize(
    ("method", "package"), [(Biharmonic, "skimage.restoration"), (PatchMatch, "patchmatch"), (PatchMatch, None)]
)
def test_a_missing_optional_package_is_named_with_its_remedy(
    method: type[Inpainter], package: str | None, scale: Scale, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package is None:
        monkeypatch.setattr("patchmatch.patch_match.patchmatch_available", False)
    else:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'gainbench\[classical\]'|native library"):
        build(method, scale)


def test_radius_must_be_positive() -> None:
    with pytest.raises(ValidationError, match="radius"):
        RadiusParams(radius=0)

"""The masks that a method tells: kept whole, the same bytes every time, refused where they are no masks."""

import numpy as np
import pandas as pd
import pytest
import torch

from gainbench.errors import EvaluationError
from gainbench.evaluation.shrinkage import Shrinkage, read_shrinkage, traced_rows, write_shrinkage
from gainbench.evaluation.tracing import trace_shrinkage
from gainbench.methods import Inpainter

from .conftest import SIZE, Pictures, pairing

CPU = torch.device("cpu")


class Halving(Inpainter):
    """Two steps: half the side, known if anything is; then everything."""

    name = "halving"

    def inpaint(self, image, known):
        return image

    def shrinkage(self, image, known):
        assert float((image * (1 - known)).abs().sum()) == 0, "hidden pixels are zero"
        return {"half": torch.nn.functional.max_pool2d(known, 2), "all": torch.ones(1, 1, 4, 4)}


class Plain(Halving):
    shrinkage = Inpainter.shrinkage


class Gray(Halving):
    def shrinkage(self, image, known):
        return {"half": 0.5 * known}


class Flat(Halving):
    def shrinkage(self, image, known):
        return {"half": known[:, 0]}


class Wayward(Halving):
    def shrinkage(self, image, known):
        return {f"of {len(known)}": known}


def traced(method, batch=3):
    pictures = Pictures(1, 6)
    table = pairing(pictures)
    return trace_shrinkage(method({}, None), pictures, table, batch=batch, device=CPU), table


def test_a_methods_masks_are_kept_after_the_hole_itself():
    found, table = traced(Halving)
    assert found.steps == ("hole", "half", "all")
    assert found.rows == (0, 1, 4, 5, 6, 7, 10, 11)  # both rows of four of six images, spread evenly
    assert found.image_ids == tuple(table.table["image_id"].iloc[list(found.rows)])
    for place, row in enumerate(found.rows):
        hole = table.known(row)
        assert np.array_equal(found.known[0][place], hole)
        assert np.array_equal(found.known[1][place], hole.reshape(SIZE // 2, 2, SIZE // 2, 2).any((1, 3)))
        assert found.known[2][place].all()
    assert found.hidden_share[:, 0] == pytest.approx([1 - known.mean() for known in found.known[0]])
    assert (found.hidden_share[:, 2] == 0).all()


def test_batches_change_nothing():
    one, other = traced(Halving, batch=1)[0], traced(Halving, batch=8)[0]
    assert all(np.array_equal(a, b) for a, b in zip(one.known, other.known, strict=True))


def test_a_method_without_masks_keeps_nothing():
    assert traced(Plain)[0] is None


@pytest.mark.parametrize(
    ("method", "message"),
    [(Gray, "found other values"), (Flat, r"found \(3, 64, 64\)"), (Wayward, "other steps for other pictures")],
)
def test_what_is_no_mask_is_refused(method, message):
    with pytest.raises(EvaluationError, match=message):
        traced(method)


def made(seed=0):
    drawn = np.random.default_rng(seed)
    known = tuple(drawn.random((3, *size)) > 0.3 for size in ((8, 8), (5, 3), (1, 2)))
    return Shrinkage((0, 2, 7), ("a", "b", "a"), ("0.01-0.1", "0.1-0.2", "0.1-0.2"), ("hole", "x, 1", "y"), known)


def test_the_disk_gives_back_what_it_was_given(tmp_path):
    write_shrinkage(made(), tmp_path / "a.npz")
    found = read_shrinkage(tmp_path / "a.npz")
    assert (found.rows, found.image_ids, found.bins, found.steps) == (
        made().rows,
        made().image_ids,
        made().bins,
        made().steps,
    )
    assert all(np.array_equal(a, b) for a, b in zip(found.known, made().known, strict=True))


def test_the_same_masks_give_the_same_bytes(tmp_path):
    for name in "ab":
        write_shrinkage(made(), tmp_path / name)
    write_shrinkage(made(1), tmp_path / "c")
    first, second, third = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == second != third


@pytest.mark.parametrize("damage", [lambda b: b[:-40], lambda _: b"", lambda _: b"PK\x03\x04nothing"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "a.npz"
    write_shrinkage(made(), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EvaluationError, match="not a whole file of masks"):
        read_shrinkage(path)


def test_rows_of_few_images_are_followed_however_many_there_are():
    table = pd.DataFrame({"image_id": [f"{number // 2}" for number in range(20)]})
    assert traced_rows(table, 3) == [0, 1, 8, 9, 18, 19]
    assert traced_rows(table.iloc[:2], 3) == [0, 1]

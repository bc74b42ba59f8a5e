"""Which image is evaluated with which hole: the same table for whoever asks, in whatever order."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gainbench.errors import MaskError
from gainbench.masks import build_pairing, hole_statistics, open_protocol, resize_nearest
from gainbench.spec import BINS, MaskSpec, bin_label

IDS = [f"photograph-{index}/tile-{index % 3}" for index in range(5)]


def test_every_image_has_one_row_a_bin_with_the_measures_of_its_hole() -> None:
    protocol = open_protocol(MaskSpec())
    table = build_pairing(protocol, IDS, size=96).table
    assert len(table) == len(IDS) * len(BINS)
    assert table["row"].tolist() == list(range(len(table)))
    for image_id, rows in table.groupby("image_id"):
        assert rows["bin"].tolist() == [bin_label(bounds) for bounds in BINS]
        for record in rows.to_dict("records"):
            bounds = (record["bin_lo"], record["bin_hi"])
            mask = protocol.hole(image_id, bounds, record["border"]).mask
            assert hole_statistics(mask) == (
                record["area"],
                record["radius"],
                record["components"],
                record["touches_border"],
            )
            assert record["effective_area"] == resize_nearest(mask, 96).mean()
            assert bounds[0] < record["area"] <= bounds[1]


def test_known_pixels_are_those_outside_of_the_resized_hole() -> None:
    protocol = open_protocol(MaskSpec())
    pairing = build_pairing(protocol, IDS[:2], size=100)
    for record in pairing.table.to_dict("records"):
        mask = protocol.hole(record["image_id"], (record["bin_lo"], record["bin_hi"]), record["border"]).mask
        known = pairing.known(record["row"])
        assert known.dtype == np.bool_
        assert np.array_equal(known, ~resize_nearest(mask, 100))


@pytest.mark.parametrize("name", ["irregular-v1", "lama-medium"])
def test_the_order_of_images_changes_neither_table_nor_hash(name: str) -> None:
    one, other = (
        build_pairing(open_protocol(MaskSpec(protocol=name)), ids, size=64) for ids in (IDS, [*IDS[2:], *IDS[1::-1]])
    )
    pd.testing.assert_frame_equal(one.table, other.table)
    assert one.sha256 == other.sha256
    assert all(np.array_equal(one.known(row), other.known(row)) for row in range(len(one)))


def test_fewer_images_have_the_holes_that_they_have_among_more() -> None:
    protocol = open_protocol(MaskSpec())
    few, many = (build_pairing(protocol, ids, size=64).table.drop(columns="row") for ids in (IDS[1:3], IDS))
    shared = many[many["image_id"].isin(IDS[1:3])].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, shared)


def test_the_hash_is_stable_and_notices_seed_size_and_images() -> None:
    hashes = [
        build_pairing(open_protocol(MaskSpec(seed=seed)), ids, size=size).sha256
        for seed, ids, size in (
            (0, IDS[:2], 64),
            (0, IDS[:2], 64),
            (1, IDS[:2], 64),
            (0, IDS[:2], 128),
            (0, IDS[:1], 64),
        )
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4


def test_a_saved_table_reads_back_and_is_the_same_file_again(tmp_path: Path) -> None:
    pairing = build_pairing(open_protocol(MaskSpec()), IDS[:2], size=64)
    paths = [tmp_path / "one.parquet", tmp_path / "other.parquet"]
    for path in paths:
        pairing.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(paths[0]), pairing.table)
    assert pairing.sha256.encode() in paths[0].read_bytes()


def test_a_hole_is_kept_in_less_than_a_third_of_its_bits() -> None:
    def kept(images: int) -> int:
        tracemalloc.start()
        pairing = build_pairing(open_protocol(MaskSpec()), [f"image {index}" for index in range(images)], size=256)
        found = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(pairing) == 6 * images
        return found

    kept(1)
    assert kept(12) - kept(4) < 8 * 6 * 256**2 / 8 / 3


def test_an_image_named_twice_is_refused() -> None:
    with pytest.raises(MaskError, match="photograph-1"):
        build_pairing(open_protocol(MaskSpec()), [*IDS, IDS[1]], size=64)

"""The user's files: NVIDIA's set bit for bit or with a footnote, folders by name or by hash, never trained on."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainbench.errors import MaskError
from gainbench.keyed import content_hash
from gainbench.masks import file_protocols, open_protocol, statistics_table
from gainbench.masks.irregular import draw_irregular
from gainbench.masks.statistics import border_class
from gainbench.raster import SUFFIXES
from gainbench.spec import BINS, BORDERS, MaskSpec

PER_BLOCK = 2


def save(path: Path, hole: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(hole * np.uint8(255)).save(path)


def hex_of_bits(masks: list[np.ndarray]) -> str:
    """sha256 over masks packed to bits, first pixel in the highest bit, written out independently."""
    weights = 2 ** np.arange(7, -1, -1)
    whole = b"".join((mask.reshape(-1, 8) * weights).sum(axis=1).astype(np.uint8).tobytes() for mask in masks)
    return hashlib.sha256(whole).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    """A small set in NVIDIA's form: the first two masks of each block."""
    return {
        f"{1000 * block + index:05d}.png": draw_irregular(BINS[block // 2], BORDERS[block % 2], "files", block, index)
        for block in range(12)
        for index in range(PER_BLOCK)
    }


@pytest.fixture
def published(drawn: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the small set, which the protocol takes for the published one."""
    for name, hole in drawn.items():
        save(tmp_path / "published" / name, hole)
    masks = list(drawn.values())
    blocks = tuple(hex_of_bits(masks[PER_BLOCK * block : PER_BLOCK * (block + 1)])[:16] for block in range(12))
    monkeypatch.setattr(file_protocols, "BLOCK_SHA256", blocks)
    monkeypatch.setattr(file_protocols, "SHA256", hex_of_bits(masks))
    return tmp_path / "published"


def integrity_notes(path: Path) -> list[str]:
    return [note for note in open_protocol(MaskSpec(protocol="nvidia", path=path)).footnotes if "published" in note]


def test_the_published_set_has_no_integrity_footnote(published: Path) -> None:
    assert integrity_notes(published) == []


def test_hashes_of_the_published_blocks_are_the_first_digits_of_twelve_hashes() -> None:
    assert len(file_protocols.BLOCK_SHA256) == 12
    assert len(set(file_protocols.BLOCK_SHA256)) == 12
    assert all(len(digits) == 16 for digits in file_protocols.BLOCK_SHA256)


def test_one_altered_pixel_is_a_footnote_that_names_the_block(
    published: Path, drawn: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    altered = drawn["05001.png"].copy()
    altered[tuple(np.argwhere(~altered)[0])] = True
    save(published / "05001.png", altered)
    (note,) = integrity_notes(published)
    assert "block 5 (bin 0.2-0.3, touching)" in note
    assert note in caplog.text


def test_a_missing_mask_is_a_footnote_that_names_the_block(published: Path) -> None:
    (published / "07001.png").unlink()
    (note,) = integrity_notes(published)
    assert "block 7" in note
    assert "1 masks" in note


def test_a_block_without_masks_is_refused_when_it_is_asked_for(published: Path) -> None:
    for name in ("04000.png", "04001.png"):
        (published / name).unlink()
    protocol = open_protocol(MaskSpec(protocol="nvidia", path=published))
    with pytest.raises(MaskError, match=r"block 4.*04000\.png to 04999\.png"):
        protocol.hole("image", BINS[2], "clear")


def test_a_hole_is_a_file_of_the_block_of_its_bin_and_border_class(
    published: Path, drawn: dict[str, np.ndarray]
) -> None:
    protocol = open_protocol(MaskSpec(protocol="nvidia", path=published))
    used = set()
    for index in range(20):
        for bounds, border, hole in protocol.image_holes(f"image {index}"):
            name = f"{hole.mask_id.removeprefix('nvidia-')}.png"
            used.add(name)
            assert int(name[:2]) == 2 * BINS.index(bounds) + BORDERS.index(border)
            assert np.array_equal(hole.mask, drawn[name])
            assert bounds[0] < hole.mask.mean() <= bounds[1]
            assert border_class(hole.mask) == border
    assert used == set(drawn)


def test_statistics_are_those_of_the_files(published: Path, drawn: dict[str, np.ndarray]) -> None:
    table = statistics_table(open_protocol(MaskSpec(protocol="nvidia", path=published)), 1000)
    assert table["holes"].tolist() == [PER_BLOCK] * 12 + [12 * PER_BLOCK]
    expected = np.mean([drawn["06000.png"].mean(), drawn["06001.png"].mean()])
    assert table.set_index(["bin", "border"]).loc[("0.3-0.4", "clear")]["area_mean"] == pytest.approx(expected)


def test_an_inverted_set_is_refused_with_its_share_and_the_flag_that_flips_it(
    published: Path, drawn: dict[str, np.ndarray]
) -> None:
    for name, hole in drawn.items():
        save(published / name, ~hole)
    share = 1 - np.median([hole.mean() for hole in drawn.values()])
    with pytest.raises(MaskError, match=rf"median hole share of its 24 masks is {share:.2f}.*invert: true"):
        open_protocol(MaskSpec(protocol="nvidia", path=published))
    flipped = open_protocol(MaskSpec(protocol="nvidia", path=published, invert=True))
    assert [note for note in flipped.footnotes if "published" in note] == []


def test_a_set_with_three_grey_levels_is_refused_by_file(published: Path, drawn: dict[str, np.ndarray]) -> None:
    pixels = drawn["00000.png"] * np.uint8(255)
    pixels[0, 0] = 77
    Image.fromarray(pixels).save(published / "00000.png")
    with pytest.raises(MaskError, match=r"00000\.png has 3 grey levels \(0, 77, 255\)"):
        open_protocol(MaskSpec(protocol="nvidia", path=published))


def test_a_file_of_another_name_is_refused(published: Path) -> None:
    shutil.copy(published / "00000.png", published / "12000.png")
    with pytest.raises(MaskError, match=r"12000\.png is not one of"):
        open_protocol(MaskSpec(protocol="nvidia", path=published))


def test_hidden_twins_of_archives_are_passed_over(published: Path) -> None:
    (published / "._00000.png").write_bytes(b"resource fork")
    assert integrity_notes(published) == []


def test_a_folder_is_read_once_until_a_file_changes(
    published: Path, drawn: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = MaskSpec(protocol="nvidia", path=published)
    before = open_protocol(spec).hash
    with monkeypatch.context() as patched:
        patched.setattr("gainbench.masks.folders._read_folder", lambda *_, **__: pytest.fail("read again"))
        assert open_protocol(spec).hash == before
    save(published / "00000.png", drawn["00001.png"])
    assert open_protocol(spec).hash != before


def test_the_hash_is_of_the_pixels_and_not_of_the_place(published: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(published, tmp_path / "elsewhere")
    one, other = (open_protocol(MaskSpec(protocol="nvidia", path=path)).hash for path in (published, moved))
    assert one == other


def folder_spec(path: Path, pairing: str, **options: object) -> MaskSpec:
    return MaskSpec(protocol="folder", path=path, pairing=pairing, **options)


def test_how_a_folder_is_paired_must_be_said(published: Path) -> None:
    with pytest.raises(MaskError, match="by name or by hash"):
        open_protocol(MaskSpec(protocol="folder", path=published))


def test_by_name_an_image_gets_the_mask_of_its_name(drawn: dict[str, np.ndarray], tmp_path: Path) -> None:
    hole = drawn["04000.png"]
    save(tmp_path / "masks" / "holiday" / "beach.v2.png", hole)
    save(tmp_path / "masks" / "face.png", drawn["05000.png"])
    protocol = open_protocol(folder_spec(tmp_path / "masks", "name"))
    for image_id in ("holiday/beach.v2", "holiday/beach.v2.jpg"):
        (planned,) = protocol.image_holes(image_id)
        assert np.array_equal(planned.hole.mask, hole)
        assert (planned.bounds, planned.border, planned.hole.mask_id) == (BINS[2], "clear", "holiday/beach.v2.png")
    assert np.array_equal(protocol.hole("face", BINS[2], "touching").mask, drawn["05000.png"])
    with pytest.raises(MaskError, match=r"no mask named portrait\.png"):
        protocol.image_holes("portrait")
    with pytest.raises(MaskError, match=r"asked for bin 0\.5-0\.6"):
        protocol.hole("face", BINS[5], "touching")


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_by_name_a_picture_of_any_format_gets_the_mask_of_its_name(
    drawn: dict[str, np.ndarray], tmp_path: Path, suffix: str
) -> None:
    save(tmp_path / "masks" / "face.png", drawn["05000.png"])
    protocol = open_protocol(folder_spec(tmp_path / "masks", "name"))
    for image_id in (f"face{suffix}", f"face{suffix.upper()}"):
        assert protocol.image_holes(image_id)[0].hole.mask_id == "face.png"
    with pytest.raises(MaskError, match=r"no mask named portrait\.png"):
        protocol.image_holes(f"portrait{suffix}")


def test_by_name_two_masks_of_one_name_are_refused_and_by_hash_they_are_two_masks(
    drawn: dict[str, np.ndarray], tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    save(masks / "faces" / "x.PNG", drawn["04000.png"])
    save(masks / "faces" / "x.png", drawn["04001.png"])
    save(masks / "x.png", drawn["05000.png"])
    with pytest.raises(MaskError, match=r"faces/x\.PNG and .*faces/x\.png have the same name"):
        open_protocol(folder_spec(masks, "name"))
    assert len(open_protocol(folder_spec(masks, "hash")).folder.files) == 3
    (masks / "faces" / "x.PNG").unlink()
    assert open_protocol(folder_spec(masks, "name")).image_holes("faces/x.jpg")[0].hole.mask_id == "faces/x.png"


def test_by_name_a_mask_outside_of_the_suites_bins_is_reported_under_all_areas(
    drawn: dict[str, np.ndarray], tmp_path: Path
) -> None:
    save(tmp_path / "masks" / "face.png", drawn["10000.png"])
    protocol = open_protocol(folder_spec(tmp_path / "masks", "name", bins=BINS[:2]))
    assert protocol.image_holes("face")[0].bounds == (0.0, 1.0)


def test_by_hash_an_image_gets_a_keyed_choice_within_the_suites_bins(
    published: Path, drawn: dict[str, np.ndarray]
) -> None:
    protocol = open_protocol(folder_spec(published, "hash", bins=BINS[:2], borders=("clear",)))
    chosen = [protocol.image_holes(f"image {index}")[0] for index in range(40)]
    assert {planned.hole.mask_id for planned in chosen} == {"00000.png", "00001.png", "02000.png", "02001.png"}
    assert all(np.array_equal(planned.hole.mask, drawn[planned.hole.mask_id]) for planned in chosen)
    with pytest.raises(MaskError, match="no mask with an area share"):
        open_protocol(folder_spec(published, "hash", bins=((0.7, 0.8),))).image_holes("image")


def test_masks_of_another_size_are_resized_and_oblong_ones_refused(tmp_path: Path) -> None:
    small = np.zeros((64, 64), np.bool_)
    small[20:40, 20:40] = True
    save(tmp_path / "masks" / "a.png", small)
    protocol = open_protocol(folder_spec(tmp_path / "masks", "name"))
    assert np.array_equal(protocol.image_holes("a")[0].hole.mask, np.kron(small, np.ones((8, 8), np.bool_)))
    save(tmp_path / "masks" / "a.png", small[:, :50])
    with pytest.raises(MaskError, match="50 x 64"):
        open_protocol(folder_spec(tmp_path / "masks", "name"))


def test_training_on_the_test_files_is_refused_even_under_other_names(published: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskError, match=r"24 of 24 masks.*never train on test holes"):
        open_protocol(MaskSpec(protocol="nvidia", path=published, training_path=published))
    training = tmp_path / "training"
    training.mkdir()
    shutil.copy(published / "03000.png", training / "other-name.png")
    with pytest.raises(MaskError, match=r"1 of 1 masks.*other-name\.png is 03000\.png"):
        open_protocol(folder_spec(published, "hash", training_path=training))


def test_an_inverted_training_folder_is_refused_with_the_flag_that_flips_it_and_the_test_masks(
    published: Path, tmp_path: Path
) -> None:
    hole = draw_irregular(BINS[1], "clear", "training", 0)
    save(tmp_path / "training" / "0.png", ~hole)
    training = {"training_path": tmp_path / "training"}
    with pytest.raises(MaskError, match=r"training: the median hole share.* is 0\.8.*invert: true.*published, too"):
        open_protocol(folder_spec(published, "hash", **training))
    for invert, known in ((True, ~hole), (False, hole)):
        protocol = open_protocol(folder_spec(published, "hash", invert=invert, **training))
        assert np.array_equal(protocol.training_known(0, 0, 512), known)


def test_a_training_folder_with_grey_levels_is_refused_by_file_when_it_is_opened(
    published: Path, tmp_path: Path
) -> None:
    save(tmp_path / "training" / "0.png", draw_irregular(BINS[1], "clear", "training", 0))
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "training" / "1.png")
    with pytest.raises(MaskError, match=r"1\.png has 256 grey levels"):
        open_protocol(folder_spec(published, "hash", training_path=tmp_path / "training"))


def test_what_training_files_hold_is_told_by_the_hashes_of_their_bytes(published: Path, tmp_path: Path) -> None:
    for index in range(2):
        save(tmp_path / "training" / "sub" / f"{index}.png", draw_irregular(BINS[1], "clear", "training", index))
    protocol = open_protocol(folder_spec(published, "hash", training_path=tmp_path / "training"))
    expected = {
        name: hashlib.blake2b((tmp_path / "training" / name).read_bytes(), digest_size=16).hexdigest()
        for name in ("sub/0.png", "sub/1.png")
    }
    assert protocol.training.content == content_hash(expected)


def test_without_training_files_training_holes_are_those_of_irregular_v1(published: Path) -> None:
    protocol = open_protocol(folder_spec(published, "hash"))
    drawn_known = open_protocol(MaskSpec()).training_known(2, 3, 96)
    assert np.array_equal(protocol.training_known(2, 3, 96), drawn_known)
    assert any("trained on holes of irregular-v1" in note for note in protocol.footnotes)


def test_a_folders_training_holes_are_the_training_files(published: Path, tmp_path: Path) -> None:
    holes = [draw_irregular(BINS[1], "clear", "training", index) for index in range(3)]
    for index, hole in enumerate(holes):
        save(tmp_path / "training" / f"{index}.png", hole)
    protocol = open_protocol(folder_spec(published, "hash", training_path=tmp_path / "training"))
    seen = {
        next(i for i, hole in enumerate(holes) if np.array_equal(protocol.training_known(0, sample, 512), ~hole))
        for sample in range(30)
    }
    assert seen == {0, 1, 2}
    assert protocol.hash != open_protocol(folder_spec(published, "hash")).hash


def test_nvidias_training_masks_are_black_holes_dilated_turned_and_shifted(published: Path, tmp_path: Path) -> None:
    raw = np.zeros((512, 512), np.bool_)
    raw[250:253, 156:356] = True
    save(tmp_path / "raw" / "0.png", ~raw)
    protocol = open_protocol(MaskSpec(protocol="nvidia", path=published, training_path=tmp_path / "raw"))
    areas = []
    for sample in range(40):
        hole = ~protocol.training_known(1, sample, 512)
        areas.append(int(hole.sum()))
        # A line of 3 x 200 pixels widened by a disc of 9 to 49 pixels, and at most one mirror image beside it.
        assert 0.01 * 512**2 < hole.sum() <= 2 * (200 + 50) * (3 + 50)
    assert len(set(areas)) > 30
    assert max(areas) > 8000
    assert np.array_equal(protocol.training_known(1, 5, 64), protocol.training_known(1, 5, 64))

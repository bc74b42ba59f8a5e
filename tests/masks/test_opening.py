"""Protocols by name, and options that would be ignored."""

from pathlib import Path

import pytest

from gainbench.errors import MaskError
from gainbench.masks import PROTOCOLS, open_protocol
from gainbench.spec import MaskSpec


def test_every_protocol_is_listed_under_its_own_name() -> None:
    assert {name: info.protocol.name for name, info in PROTOCOLS.items()} == {name: name for name in PROTOCOLS}
    assert set(PROTOCOLS) == {
        "irregular-v1",
        "nvidia",
        "deepfill-v2",
        "lama-thin",
        "lama-medium",
        "lama-thick",
        "center",
        "folder",
    }


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(MaskError, match="did you mean 'lama-thin'"):
        open_protocol(MaskSpec(protocol="lama-tin"))


@pytest.mark.parametrize(
    ("option", "value"), [("path", Path("masks")), ("training_path", Path("masks")), ("invert", True)]
)
def test_options_for_files_are_refused_where_no_file_is_read(option: str, value: object) -> None:
    with pytest.raises(MaskError, match=f"irregular-v1 reads no files: remove {option}"):
        open_protocol(MaskSpec(**{option: value}))


@pytest.mark.parametrize("name", [name for name, info in PROTOCOLS.items() if info.needs_path])
def test_a_protocol_of_files_asks_for_their_folder(name: str, tmp_path: Path) -> None:
    pairing = "hash" if name == "folder" else None
    with pytest.raises(MaskError, match="set `path`"):
        open_protocol(MaskSpec(protocol=name, pairing=pairing))
    with pytest.raises(MaskError, match="no folder at"):
        open_protocol(MaskSpec(protocol=name, pairing=pairing, path=tmp_path / "absent"))
    with pytest.raises(MaskError, match="no PNG in"):
        open_protocol(MaskSpec(protocol=name, pairing=pairing, path=tmp_path))


def test_pairing_is_for_folders_only() -> None:
    with pytest.raises(MaskError, match="remove pairing"):
        open_protocol(MaskSpec(pairing="name"))

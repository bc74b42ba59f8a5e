import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from gainbench.assets import asset_path, catalogue
from gainbench.assets.catalogue import Asset, Carrier, find_asset, list_sha256
from gainbench.errors import AssetError


def test_the_published_names_are_there() -> None:
    assert set(catalogue()) == {
        "lpips-alexnet",
        "lpips-vgg16",
        "hed-bsds500",
        "mobilenet-v2",
        "inception-fid",
        "celeba-999",
        "photos-230",
        "orl-400",
    }


def test_hashes_that_publishers_put_into_file_names_agree() -> None:
    # torchvision and pytorch-fid end their files' names with the first eight digits of the sha256.
    for name in ("mobilenet-v2", "inception-fid"):
        ((file, digest),) = catalogue()[name].files.items()
        assert file.removesuffix(".pth").rpartition("-")[2] == digest[:8]


def test_every_asset_states_licence_and_use() -> None:
    assert all(asset.licence and asset.use and asset.description for asset in catalogue().values())


def test_a_carrier_comes_after_the_official_address() -> None:
    kinds = [source.kind for source in catalogue()["mobilenet-v2"].sources]
    assert kinds == ["address", "pypi"]


def test_no_carrier_is_a_dependency_of_the_package() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8").lower()
    carriers = [s.package for asset in catalogue().values() for s in asset.sources if isinstance(s, Carrier)]
    assert carriers
    assert not [package for package in carriers if package in pyproject]


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(AssetError, match="did you mean 'lpips-alexnet'"):
        find_asset("lpips-alex")


def test_an_asset_must_be_files_or_photographs() -> None:
    fields = {"name": "x", "description": "x", "use": "x", "licence": "x"}
    with pytest.raises(ValidationError, match="either files or photographs"):
        Asset(**fields, sources=({"kind": "address", "url": "https://example.org/x"},))


def test_an_address_gives_one_file_and_no_folder_of_photographs() -> None:
    fields = {"name": "x", "description": "x", "use": "x", "licence": "x"}
    with pytest.raises(ValidationError, match="exactly one file"):
        Asset(
            **fields,
            photographs={"patterns": ["*.jpg"], "count": 1, "manifest_sha256": "0" * 64},
            sources=({"kind": "address", "url": "https://example.org/x"},),
        )


def test_the_list_hash_is_that_of_sha256sums_output(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg", "sub/c.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
    listed = subprocess.run(["sha256sum", *names], cwd=tmp_path, capture_output=True, check=True).stdout
    again = subprocess.run(["sha256sum"], input=listed, capture_output=True, check=True).stdout
    hashes = {line.split()[1]: line.split()[0] for line in listed.decode().splitlines()}
    assert list_sha256(dict(reversed(hashes.items()))) == again.decode().split()[0]


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("celeba-999", 999, "000001.jpg"),
        ("photos-230", 230, "classification/0.jpg"),
        ("orl-400", 400, "s1/1.pgm"),
    ],
)
def test_the_photographs_are_the_listed_ones(name: str, count: int, first: str) -> None:
    folder = asset_path(name)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == count
    assert (folder / first).is_file()
    assert not [path for path in files if path.name.endswith("_segmented.jpg")]

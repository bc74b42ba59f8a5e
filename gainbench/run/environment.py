"""What computed a result: versions, hardware, commit, threads, precision. Stored beside every number."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

from gainbench.assets import available, cache_folder, catalogue

PACKAGES = (
    "gainbench",
    "kornia",
    "lpips",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "Pillow",
    "pyarrow",
    "pytorch-fid",
    "scipy",
    "torch",
    "torchvision",
)
"""The packages whose release may change a number."""

CACHE_VARIABLES = ("GAINBENCH_CACHE", "GAINBENCH_ASSETS", "GAINBENCH_FID_WEIGHTS", "GAINBENCH_OFFLINE")
"""What a user sets to say where files are, or that none may be fetched."""


def describe_environment(*, device: torch.device | None = None, precision: str | None = None) -> dict[str, Any]:
    """Versions, hardware, git commit, threads and precision, as plain JSON values.

    Args:
        device: where the cell computes; None means where a run would.
        precision: the arithmetic in use, if any is.
    """
    device = device or compute_device()
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": git_commit(Path(__file__).parent),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "device": device.type,
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "precision": precision,
    }


def describe_caches() -> dict[str, Any]:
    """Where fetched and remembered files are, how large they are, and what the user's variables say about them."""
    folder = cache_folder()
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    at_hand = sorted(name for name in catalogue() if available(name))
    return {
        "folder": str(folder),
        "size_mb": round(sum(path.stat().st_size for path in files) / 2**20, 1),
        "at_hand": at_hand,
        "to_fetch": sorted(set(catalogue()) - set(at_hand)),
        **{name: os.environ.get(name) for name in CACHE_VARIABLES},
    }


def compute_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def git_commit(folder: Path) -> str | None:
    """The commit of the checkout that tracks the code in ``folder``, with ``+changes`` if files differ from it.

    None where the package was installed from elsewhere: the commit of a repository that merely surrounds it says
    nothing about the code.
    """
    git = shutil.which("git")
    if git is None:
        return None

    def answer(*words: str) -> str | None:
        asked = subprocess.run([git, "-C", str(folder), *words], capture_output=True, text=True, check=False)  # noqa: S603 - git by its full path, fixed words
        return asked.stdout.strip() if asked.returncode == 0 else None

    if answer("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = answer("rev-parse", "HEAD")
    changed = answer("status", "--porcelain", "--untracked-files=no", "--", ":/*.py")
    return f"{commit}+changes" if commit and changed else commit


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

import subprocess
import sys
import tomllib
from pathlib import Path

import gainbench

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def sources():
    return [path for folder in ("gainbench", "baselines") for path in (ROOT / folder).rglob("*.py")]


def test_every_package_is_installed():
    listed = set(PYPROJECT["tool"]["setuptools"]["packages"])
    # Folders of pages and stylesheets too: setuptools warns at every installation about data that is in no package.
    files = [path for folder in ("gainbench", "baselines") for path in (ROOT / folder).rglob("*") if path.is_file()]
    folders = {path.parent for path in files if path.parent.name != "__pycache__"}
    present = {str(folder.relative_to(ROOT)).replace("/", ".") for folder in folders}
    assert {
        name.replace("baselines", "gainbench_baselines", 1) if name.startswith("baselines") else name
        for name in present
    } == listed


def test_public_names_are_few_and_real():
    assert len(gainbench.__all__) <= 15
    for name in gainbench.__all__:
        assert getattr(gainbench, name) is not None


def test_importing_gainbench_loads_no_torch():
    code = "import sys, gainbench; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_torch_is_a_range_never_a_pin():
    requirement = next(line for line in PYPROJECT["project"]["dependencies"] if line.startswith("torch>"))
    assert "==" not in requirement
    assert "<" not in requirement


def test_no_file_is_longer_than_400_lines():
    long = {str(path): count for path in sources() if (count := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_modules_are_named_after_what_they_hold():
    assert [path for path in sources() if path.stem in {"utils", "helpers", "common", "misc"}] == []

"""What a shell offers at Tab: names of ours and files, quickly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gainbench import completion


@pytest.mark.parametrize(
    ("offer", "typed", "offered"),
    [
        (completion.suites, "sm", ["smoke"]),
        (completion.scale_names, "", ["auto", "cpu", "full", "gpu", "tiny"]),
        (completion.methods, "tel", ["telea"]),
        (completion.methods, "gain,part", ["gain,partial_conv"]),
        (completion.methods, "gain[kernel=sobel,delta=0],part", ["gain[kernel=sobel,delta=0],partial_conv"]),
        (completion.methods, "telea,tel", []),  # it is there already
        (completion.datasets, "orl-400,cel", ["orl-400,celeba-999", "orl-400,celeba-hq"]),
        (completion.dataset_paths, "pla", ["places2="]),
        (completion.metrics, "psnr", ["psnr_rgb"]),
        (completion.protocols, "irr", ["irregular-v1"]),
        (completion.assets, "lpips-a", ["lpips-alexnet"]),
    ],
)
def test_names_are_offered_after_what_is_typed(offer, typed, offered):
    assert [word for word in offer(typed) if not word.startswith("psnr_") or word == "psnr_rgb"] == offered


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("plain", "pictures", "results/runs/smoke-tiny", "results/runs/cells"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("plan.yaml", "plot.py", "plaster.txt", ".plan.yaml", "results/runs/smoke-tiny/suite.json"):
        (tmp_path / name).touch()
    return tmp_path


def test_files_that_fit_and_folders_are_offered(here):
    assert completion.suites("pl") == ["plain/", "plan.yaml"]
    assert completion.one_method("pl") == ["plain/", "plot.py"]
    assert completion.dataset_paths("folder=pic") == ["folder=pictures/"]
    assert completion.suites(f"{here}/plan") == [f"{here}/plan.yaml"]
    assert completion.suites("nowhere/at/all") == []


def test_planned_suites_are_offered(here):
    assert completion.planned_suites("sm") == ["smoke-tiny"]
    assert completion.compared("results") == [str(Path("results/runs/smoke-tiny"))]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gainbench run --suite pa", ["paper"]),
        ("gainbench run --suite paper --methods gain,tel", ["gain,telea"]),
        ("gainbench list me", ["methods", "metrics"]),
        ("gainbench run --precision b", ["bf16"]),
        ("gainbench ass", ["assets"]),
    ],
)
def test_a_shell_is_answered_without_torch_being_loaded(line, offered):
    code = (
        "import sys, contextlib\n"
        "from gainbench.cli import app\n"
        "with contextlib.suppress(SystemExit): app(prog_name='gainbench')\n"
        "sys.stderr.write(str(sorted({'torch', 'pandas', 'matplotlib'} & sys.modules.keys())))\n"
    )
    asked = {"_GAINBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == offered
    assert done.stderr == "[]"

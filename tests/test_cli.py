"""The command line as a person meets it: quick help, lists, and errors without a traceback."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gainbench.cli import app, application, main

RUNNER = CliRunner()


def test_verbs_that_compute_nothing_load_no_torch(tmp_path):
    code = (
        "import sys, contextlib\n"
        "from gainbench.cli import app\n"
        "from gainbench.errors import GainbenchError\n"
        "for verb in sys.argv[1:]:\n"
        "    with contextlib.suppress(SystemExit, GainbenchError): app(verb.split())\n"
        "    loaded = {'torch', 'torchvision', 'kornia', 'lpips'} & sys.modules.keys()\n"
        "    sys.stderr.write(f'{verb}: {sorted(loaded)}\\n')\n"
    )
    verbs = [
        "--help",
        "run --help",
        "explain --help",
        "list suites",
        "list masks",
        "list metrics",
        "list datasets",
        "status",
        "report",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *verbs], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stderr.splitlines() == [f"{verb}: []" for verb in verbs]


def test_an_error_is_one_message_and_exit_code_2(tmp_path):
    command = [sys.executable, "-m", "gainbench", "status", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: {tmp_path} holds no suite yet; run one with `gainbench run --suite NAME --out {tmp_path}`"
    ]
    assert done.stdout == ""


def test_an_error_of_our_own_making_keeps_its_traceback(monkeypatch):
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(application, "app", broken)
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("suites", ["smoke", "paper", "tiny", "1000000"]),
        ("datasets", ["celeba-999", "photos-230", "orl-400", "folder"]),
        ("masks", ["irregular-v1"]),
        ("metrics", ["l1_hole", "ssim_rgb_g11", "Gaussian 11x11 window"]),
        ("methods", ["telea", "radius=3.0"]),
    ],
)
def test_lists_hold_what_can_be_chosen(what, expected):
    done = RUNNER.invoke(app, ["list", what])
    assert done.exit_code == 0
    assert all(word in done.output for word in expected)


def test_a_broken_plugin_is_listed_with_its_reason(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from gainbench import Inpainter\n\n\nclass Mine(Inpainter):\n    name = 'mine'\n"
        "    def inpaint(self, image, known):\n        return image\n"
    )
    assert "mine" in RUNNER.invoke(app, ["list", "methods", "--plugin", str(tmp_path / "mine.py")]).output
    (tmp_path / "mine.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(Exception, match="nowhere_to_be_found"):
        RUNNER.invoke(app, ["list", "methods", "--plugin", str(tmp_path / "mine.py")], catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "one"], "--seeds 'one'"),
        (["--data", "folder"], "NAME=PATH"),
        (["--fid-weights", "/nowhere/at/all"], "nothing at"),
    ],
)
def test_options_that_cannot_be_read_are_explained(options, message):
    done = RUNNER.invoke(app, ["plan", "--suite", "smoke", *options])
    assert message in str(done.exception)


def test_env_says_what_computes():
    done = RUNNER.invoke(app, ["env"])
    assert done.exit_code == 0
    assert all(word in done.output for word in ['"torch"', '"device"', '"precision"', '"commit"'])

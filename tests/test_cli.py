"""The command line as a person meets it: quick help, lists, and errors without a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gainbench.cli import app, application, main
from gainbench.errors import GainbenchError

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
        (["--seeds", "0,0"], "seeds named twice: 0; name each once"),
        (["--data", "folder"], "NAME=PATH"),
        (["--fid-weights", "/nowhere/at/all"], "nothing at"),
    ],
)
def test_options_that_cannot_be_read_are_explained(options, message):
    done = RUNNER.invoke(app, ["plan", "--suite", "smoke", *options])
    assert message in str(done.exception)


def test_env_says_what_computes_and_where_caches_are(tmp_path, monkeypatch):
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "something").write_bytes(bytes(3 * 2**20))
    done = RUNNER.invoke(app, ["env"])
    assert done.exit_code == 0
    assert all(f"\n{word}: " in done.output for word in ("device", "precision", "commit", "threads"))
    found = json.loads(RUNNER.invoke(app, ["env", "--json"]).stdout)
    assert {"torch", "numpy", "gainbench"} <= found["packages"].keys()
    assert found["caches"]["folder"] == str(tmp_path / "cache")
    assert found["caches"]["size_mb"] == 3.0
    assert found["caches"]["at_hand"] == []
    assert "lpips-alexnet" in found["caches"]["to_fetch"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["list", "suites"], {"suites": "smoke", "scales": "tiny"}),
        (["list", "datasets"], {None: "celeba-999"}),
        (["list", "masks"], {None: "irregular-v1"}),
        (["list", "metrics"], {None: "psnr_rgb"}),
        (["list", "methods"], {None: "telea"}),
        (["assets", "list"], {None: "lpips-alexnet"}),
    ],
)
def test_lists_are_json_for_programs(words, names):
    done = RUNNER.invoke(app, [*words, "--json"])
    told = json.loads(done.stdout)
    for part, name in names.items():
        assert name in [next(iter(record.values())) for record in (told if part is None else told[part])]
    assert next(iter(names.values())) in done.stderr  # what a person reads


def test_a_chatty_plugin_leaves_standard_output_to_the_json(tmp_path, pictures, apart):
    plugin = Path(__file__).parent / "plugins" / "chatty.py"
    command = [sys.executable, "-m", "gainbench", "plan", "--suite", "smoke", "--datasets", "folder", "--json"]
    command += ["--data", f"folder={pictures}", "--plugin", str(plugin), "--methods", "chatty", "--out", str(tmp_path)]
    with apart():
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [cell["method"] for cell in json.loads(done.stdout)["cells"]] == ["chatty"]
    assert "chatty is loaded" in done.stderr


def test_options_of_a_method_keep_their_type_in_json():
    told = json.loads(RUNNER.invoke(app, ["list", "methods", "--json"]).stdout)
    gain = next(entry for entry in told if entry["method"] == "gain")
    assert gain["options"]["attention"]["default"] is True
    assert gain["options"]["delta"]["default"] == 0.4
    assert gain["broken"] is None


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["plan", "--suite", "smoek"], "did you mean 'smoke'"),
        (["plan", "--suite", "smoke", "--scale", "tyni"], "did you mean 'tiny'"),
        (["plan", "--suite", "smoke", "--methods", "gian"], "did you mean 'gain'"),
        (["plan", "--suite", "smoke", "--methods", "gain[guidance=cany]"], "did you mean 'canny'"),
        (["plan", "--suite", "smoke", "--methods", "gain[guidanc=canny]"], "did you mean 'guidance'"),
        (["plan", "--suite", "smoke", "--datasets", "orl"], "did you mean 'orl-400'"),
        (["plan", "--suite", "smoke", "--data", "foldr=x"], "did you mean 'folder'"),
        (["run", "--suite", "smoke", "--precision", "fp23"], "did you mean 'fp32'"),
        (["run", "--suite", "smoke", "--retry", "faild"], "did you mean 'failed'"),
        (["list", "metric"], "did you mean 'metrics'"),
        (["list", "masks", "--stats", "irregular"], "did you mean 'irregular-v1'"),
        (["assets", "verify", "hed"], "did you mean 'hed-bsds500'"),
    ],
)
def test_a_name_that_is_unknown_is_met_with_the_nearest(words, hint):
    done = RUNNER.invoke(app, words)
    assert isinstance(done.exception, GainbenchError)
    assert hint in str(done.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "masks", "--path", "absent"], "--path belongs to"),
        (["list", "suites", "--path", "absent"], "--path belongs to"),
        (["list", "masks", "--stats", "irregular-v1", "--path", "absent"], "reads no files"),
        (["list", "suites", "--plugin", "absent.py"], "--plugin belongs to"),
        (["list", "readings", "--plugin", "absent.py"], "--plugin belongs to"),
        (["assets", "fetch", "orl-400", "--assets-dir", "absent"], "there is nothing at absent"),
    ],
)
def test_an_option_that_would_not_be_used_is_refused(words, said):
    done = RUNNER.invoke(app, words)
    assert isinstance(done.exception, GainbenchError)
    assert said in str(done.exception)


def test_a_verb_that_is_unknown_is_met_with_the_nearest():
    done = RUNNER.invoke(app, ["raport"])
    assert done.exit_code == 2
    assert "report" in done.stderr


def test_every_verb_is_there():
    listed = RUNNER.invoke(app, ["--help"]).output
    verbs = (
        "run",
        "plan",
        "status",
        "report",
        "compare",
        "list",
        "check",
        "new-method",
        "inpaint",
        "explain",
        "evaluate",
        "assets",
        "env",
    )
    assert [verb for verb in verbs if f"\n  {verb} " not in listed] == []

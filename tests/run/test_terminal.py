"""The program at a terminal, as a user meets it: a real process behind a real pseudo-terminal."""

import json
import os
import re
import subprocess
import sys

import pexpect
import psutil
import pytest
from PIL import Image

from gainbench.spec import MaskSpec, MethodSpec, Suite

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-7]|9[0-7]|4[0-7])(;[0-9;]*)?m")
PATIENCE = 180


class Terminal:
    """A command in a terminal of 80 columns, and everything it drew."""

    def __init__(self, *words, **environment):
        self.drawn = ""
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "gainbench", *map(str, words)],
            env={**os.environ, "TERM": "xterm-256color", **environment},
            dimensions=(24, 80),
            encoding="utf-8",
            timeout=PATIENCE,
        )

    def wait_for(self, pattern):
        self.process.expect(pattern)
        self.drawn += self.process.before + self.process.after

    def end(self):
        self.process.expect(pexpect.EOF)
        self.drawn += self.process.before
        self.process.close()
        return self.process.exitstatus

    @property
    def text(self):
        return CONTROL.sub("", self.drawn)


@pytest.fixture
def command(tmp_path, pictures, plugin, own_cache):
    suite = Suite(
        name="little",
        question="Does the grid hold?",
        datasets=("folder",),
        methods=(MethodSpec(name="telea"),),
        masks=MaskSpec(bins=((0.1, 0.2),), borders=("touching",)),
        metrics=("l1_mean", "psnr_rgb"),
        scale="tiny",
        iterations=60,
        samples=1,
    )
    # JSON is YAML.
    (tmp_path / "little.yaml").write_text(suite.model_dump_json())
    words = ["--suite", tmp_path / "little.yaml", "--data", f"folder={pictures}", "--plugin", plugin, "--jobs", "1"]
    return ["run", *words, "--out", tmp_path / "runs", "--methods"]


def processes_of(folder):
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in word for word in process.info["cmdline"] or ())
    ]


def test_a_run_is_drawn_and_ends_at_ctrl_c_leaving_no_process_and_no_half_written_file(command, tmp_path):
    terminal = Terminal(*command, "dawdling,steady")
    terminal.wait_for(r"little-tiny: 2 cells, 0 done already, 2 to run")
    terminal.wait_for(r"folder: to begin: ")
    terminal.wait_for(r"training \d+%")
    terminal.process.sendintr()
    assert terminal.end() == 130
    assert "little-tiny: 0 of 2 cells" in terminal.text  # the grid's headline
    going_on = "interrupted; what is finished is kept. To go on: python -m gainbench run --suite"
    assert going_on in terminal.text.replace("\r\n", "")
    assert COLOUR.search(terminal.drawn)
    assert processes_of(tmp_path) == []
    left = [path.name for path in (tmp_path / "runs").rglob(".*") if path.name != ".lock"]
    assert left == []
    status = [sys.executable, "-m", "gainbench", "status", "--json", "--out", str(tmp_path / "runs")]
    told = json.loads(subprocess.run(status, capture_output=True, text=True, check=True).stdout)
    states = {cell["method"]: cell["state"] for cell in told["little-tiny"]}
    assert states == {"dawdling": "interrupted", "steady": "pending"}


@pytest.mark.slow
def test_programs_get_json_the_quiet_get_nothing_and_no_color_is_honoured(command):
    words = [str(word) for word in command]
    done = subprocess.run(
        [sys.executable, "-m", "gainbench", *words, "dawdling,steady,raising", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert {cell["method"]: cell["state"] for cell in told["cells"]} == {
        "dawdling": "done",
        "steady": "done",
        "raising": "failed",
    }
    assert told["unfinished"] == 1
    assert told["report"]["html"].endswith("little-tiny/report.html")
    assert "\x1b" not in done.stderr
    assert "folder raising seed 0: failed" in done.stderr
    assert "ArithmeticError: the method is not in the mood" in done.stderr

    last = Terminal(*command, "dawdling,steady", NO_COLOR="1")
    assert last.end() == 0
    assert "nothing was left to do" in last.text
    assert not COLOUR.search(last.drawn)
    *_, where = last.text.strip().splitlines()
    assert where.split()[0] == "report"
    assert all(what in last.text for what in ("dawdling", "steady", "tables  ", "cells  ", "plots  "))

    quiet = subprocess.run(
        [sys.executable, "-m", "gainbench", *words, "dawdling,steady", "--quiet"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (quiet.stdout, quiet.stderr) == ("", "")


@pytest.mark.parametrize("number", [15, 1], ids=["SIGTERM", "SIGHUP"])
def test_a_verb_that_is_told_to_end_says_how_to_go_on(tmp_path, number, own_cache):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "pictures" / "one.png")
    command = [sys.executable, "-c", BUSY, "report", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "busy\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert said.startswith(f"error: interrupted; what is finished is kept. To go on: gainbench report --out {tmp_path}")
    assert "Traceback" not in said


BUSY = """
import time
from gainbench.cli import main, suites

def busy(*_):
    print("busy", flush=True)
    time.sleep(60)

suites._build_report = busy
main()
"""


def test_help_comes_at_once():
    before = os.times()
    subprocess.run([sys.executable, "-m", "gainbench", "--help"], check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 1.5  # seconds of a core

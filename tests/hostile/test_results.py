"""A results root that a full disk, a power cut or a stranger has been at: one error that names the file, or no harm."""

import shutil

import numpy as np
import pytest

from gainbench.errors import RunError
from gainbench.run.grid import run_suite
from gainbench.run.plan import plan_suite
from gainbench.run.store import read_results
from gainbench.spec import MaskSpec, MethodSpec, Suite

from .corpus import code, encoded, smooth


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A root with two finished cells."""
    pictures, root = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("root")
    for number in range(15):
        (pictures / f"{number:02d}.png").write_bytes(encoded(smooth(number)))
    suite = Suite(
        name="little",
        datasets=("folder",),
        methods=(MethodSpec(name="telea"), MethodSpec(name="mean_fill")),
        masks=MaskSpec(bins=((0.1, 0.2),)),
        metrics=("l1_mean",),
        scale="tiny",
        iterations=1,
        samples=1,
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GAINBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        environment.setenv("GAINBENCH_OFFLINE", "1")
        run_suite(suite, root=root, data_paths={"folder": pictures}, executor="in_process")
    return root, suite, pictures


@pytest.fixture
def root(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "root")


def a_cell(root):
    return next(path.parent for path in sorted(root.glob("cells/*/*/result.json")))


GARBAGE = {
    "zero bytes": lambda whole: b"",
    "a first half": lambda whole: whole[: len(whole) // 2],
    "all but a byte": lambda whole: whole.rstrip()[:-1],
    "zeros": lambda whole: bytes(len(whole)),
    "no text": lambda whole: b"\xff\xfe" + whole,
    "a list": lambda whole: b"[]",
    "an empty object": lambda whole: b'{"x": 1}',
    "brackets": lambda whole: b"[" * 100_000,
    "code": lambda whole: code("was-run"),
}


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("name", ["result.json", "rows.parquet", "timings.parquet", "status.json", "suite.json"])
def test_a_damaged_file_is_one_error_that_names_it_and_says_what_to_do(
    verb, root, tmp_path, monkeypatch, name, garbage
):
    monkeypatch.chdir(tmp_path)
    path = root / "little-tiny" / name if name == "suite.json" else a_cell(root) / name
    path.write_bytes(GARBAGE[garbage](path.read_bytes()))
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    verb("compare", "telea", "mean_fill", "--out", root).refused(name, "delete", "run again")
    if name in {"result.json", "status.json", "suite.json"}:
        verb("status", "--out", root).refused(name, "delete", "run again")
    assert {file: file.read_bytes() for file in root.rglob("*") if file.is_file()} == before
    assert not (tmp_path / "was-run").exists()


def test_a_whole_root_is_read(verb, root):
    assert verb("status", "--out", root).code == 0
    assert verb("compare", "telea", "mean_fill", "--out", root).code in {0, 1}
    (a_cell(root) / "progress.json").write_bytes(b'{"what": [], "done": {}, "total": "x"}')
    assert verb("status", "--out", root).code == 0


@pytest.mark.parametrize("pid", ["-1", "0", "99999999999999999999", '"x"', "1.5"])
def test_a_process_that_cannot_be_is_told(verb, root, pid):
    (a_cell(root) / "status.json").write_text(f'{{"state": "running", "pid": {pid}}}')
    verb("status", "--out", root).refused("status.json", "pid")


def test_set_metrics_of_another_shape_are_told(root):
    path = a_cell(root) / "result.json"
    path.write_text(path.read_text().replace('"set_metrics": []', '"set_metrics": [{"metric": 1}]'))
    with pytest.raises(RunError, match=r"result\.json.*set_metrics"):
        read_results(root)


@pytest.mark.parametrize("name", ["timings.parquet", "features.npz"])
def test_a_bit_that_fell_over_anywhere_is_told_or_harmless(root, name):
    folder = a_cell(root)
    whole = (folder / name).read_bytes()
    told = 0
    for place in np.random.default_rng(5).integers(0, len(whole), 60).tolist():
        (folder / name).write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            for cell in read_results(root).cells:
                cell.features()
        except RunError as error:
            told += 1
            assert name in str(error)  # noqa: PT017 - a bit of padding may be any
    assert told > 0


def test_a_name_in_a_stored_suite_leads_nowhere_else(verb, root, tmp_path):
    path = root / "little-tiny" / "suite.json"
    path.write_text(path.read_text().replace('"name": "little"', '"name": "../../elsewhere"'))
    verb("report", "--out", root).refused("suite.json", "no slash")
    # tmp_path holds the root; its parent is shared with other tests, so only its own entries are looked at.
    assert not [*tmp_path.rglob("elsewhere*"), *tmp_path.parent.glob("elsewhere*")]


def test_a_damaged_pairing_is_made_anew(finished, root):
    _, suite, pictures = finished
    for path in (root / "pairings").iterdir():
        path.write_bytes(b"")
    shutil.rmtree(a_cell(root))
    ran = run_suite(suite, root=root, data_paths={"folder": pictures}, executor="in_process")
    assert not ran.unfinished
    assert len(read_results(root).rows) == len(read_results(finished[0]).rows)


def test_planning_over_a_damaged_cell_writes_nothing(finished, root):
    _, suite, pictures = finished
    (a_cell(root) / "result.json").write_bytes(b"{")
    with pytest.raises(RunError, match=r"result\.json.*delete"):
        plan_suite(suite, root=root, data_paths={"folder": pictures})


@pytest.mark.slow
@pytest.mark.parametrize("file", ["status.json", "suite.yaml", "plugin.py", "pictures", "weights"])
def test_a_person_who_starts_the_program_sees_one_message(program, root, tmp_path, file):
    hostile = tmp_path / file
    hostile.mkdir() if file == "pictures" else hostile.write_bytes(b"[" * 100_000)
    words = {
        "status.json": ("status", "--out", root),
        "suite.yaml": ("plan", "--suite", hostile),
        "plugin.py": ("plan", "--suite", "smoke", "--plugin", hostile),
        "pictures": ("plan", "--suite", "smoke", "--datasets", "folder", "--data", f"folder={hostile}"),
        "weights": ("inpaint", "--method", "gain", "--weights", hostile, "--scale", "tiny", "--out", tmp_path / "out"),
    }[file]
    if file == "status.json":
        (a_cell(root) / file).write_bytes(hostile.read_bytes())
    if file == "weights":
        for name in ("picture.png", "hole.png"):
            (tmp_path / name).write_bytes(encoded(smooth(1)))
        words += ("--image", tmp_path / "picture.png", "--mask", tmp_path / "hole.png")
    program(*words).refused(file)

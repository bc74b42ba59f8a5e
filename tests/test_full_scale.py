"""What pages say of scale full: all trained methods were measured, the plan's arithmetic, a method measured again."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gainbench.methods import TrainableInpainter
from gainbench.registry import installed_methods
from gainbench.spec import Suite

DOCS = Path(__file__).parent.parent / "docs"


def script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def full_scale():
    return script("full_scale")


@pytest.fixture(scope="module")
def full_run():
    with pytest.MonkeyPatch.context() as path:
        path.syspath_prepend(DOCS)
        return script("full_run")


def test_every_trained_method_was_measured_at_full(full_scale):
    # To measure one: python docs/full_scale.py measure METHOD
    trained = {name for name, entry in installed_methods().items() if issubclass(entry.method, TrainableInpainter)}
    note = full_scale.read_note()
    assert trained | {"gain[guidance=none]"} <= note.keys()
    for label, one in note.items():
        assert f"`{label}`" in full_scale.table(note)
        assert sum(stage["window"][1] - stage["window"][0] for stage in one["stages"]) == pytest.approx(1.0)
        assert one["training_mib"] >= one["evaluation_mib"] > 0
        assert all(stage["flops"] > 2 * one["parameters"] for stage in one["stages"])


def test_hours_and_bytes_follow_from_the_measured_counts(full_run):
    one = {
        "stages": [{"flops": 3e12, "window": [0.0, 0.25]}, {"flops": 1e12, "window": [0.25, 1.0]}],
        "macs": 0.5e12,
        "state_bytes": 1000,
        "all_parameters": 200,
    }
    # 8 pictures of .25 * 3 + .75 * 1 = 1.5 TFLOPs each, a million times, at .3 * 312 TFLOPs a second.
    assert full_run.training_hours(one) == pytest.approx(8 * 1.5e12 * 1e6 / 93.6e12 / 3600)
    assert full_run.training_hours(one) == pytest.approx(35.61, abs=0.01)
    # 100 pictures, 6 holes, a trillion FLOPs each.
    assert full_run.evaluation_hours(one, 100) == pytest.approx(600 / 93.6 / 3600)
    assert full_run.checkpoint_bytes(one) == 1000 + 2 * 4 * 200


def test_the_suite_of_the_plan_is_one_and_its_methods_are_those_of_its_tables(full_run):
    note = full_run.read_note()
    suite = Suite(**yaml.safe_load(full_run.suite(note).removeprefix("```yaml\n").removesuffix("```\n")))
    labels = [method.label for method in suite.methods]
    assert labels[: len(full_run.METHODS)] == list(full_run.METHODS)
    for part in (full_run.hours(note), full_run.disk(note)):
        assert all(f"| `{label}` |" in part for label in full_run.METHODS)


@pytest.mark.slow
@pytest.mark.assets
def test_a_method_measured_again_has_the_counts_of_the_table(full_scale, tmp_path):
    command = [sys.executable, str(DOCS / "full_scale.py"), "measure", "partial_conv"]
    subprocess.run([*command, "--note", str(tmp_path / "note.json")], check=True)
    again = json.loads((tmp_path / "note.json").read_text())["partial_conv"]
    noted = full_scale.read_note()["partial_conv"]
    for name in ("parameters", "macs", "all_parameters", "state_bytes"):
        assert again[name] == noted[name], name
    assert [stage["flops"] for stage in again["stages"]] == [stage["flops"] for stage in noted["stages"]]
    assert all(value == value for value in again["metrics"].values())  # noqa: PLR0124 - NaN differs from itself
    assert again["training_mib"] < 2 * noted["training_mib"]

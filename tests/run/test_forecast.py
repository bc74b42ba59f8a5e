"""What a run should take: worked examples, from what earlier cells left."""

import json

import pytest

from gainbench.run.executors import Execution
from gainbench.run.forecast import Forecast, Kind, Pace, duration, few_of, forecast_run, kind_of
from gainbench.run.layout import cell_folder
from gainbench.spec import CellSpec, MaskSpec, MethodSpec, Scale

SCALE = Scale(name="tiny", size=64, base=8, batch=8, iterations=300, test_pictures=40)
EXECUTION = Execution(jobs=1, threads=2)


def cell(method="gain", *, dataset="folder", seed=0, **scale):
    return CellSpec(
        dataset=dataset,
        manifest_hash="m" * 32 + dataset,
        method=MethodSpec.parse(method),
        revision=1,
        seed=seed,
        scale=SCALE.model_copy(update=scale),
        masks=MaskSpec(),
        mask_hash="h" * 32,
        metrics=("l1_mean",),
    )


def left(root, spec, *, training=None, log=(), status=None, result=False):
    """Write what an earlier attempt at a cell leaves."""
    folder = cell_folder(root, spec)
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(spec.model_dump_json())
    if training is not None:
        (folder / "training.json").write_text(json.dumps({"iterations": training[0], "seconds": training[1]}))
    if log:
        lines = (json.dumps({"step": step, "seconds": seconds}) for step, seconds in log)
        (folder / "training.jsonl").write_text("\n".join(lines))
    if status is not None:
        (folder / "status.json").write_text(json.dumps(status))
    if result:
        (folder / "result.json").write_text("{}")


def test_earlier_cells_of_the_same_kind_say_what_one_takes(tmp_path):
    done = {"state": "done", "attempts": 1, "seconds": 70.0, "threads": 2}
    left(tmp_path, cell(dataset="other"), training=(100, 50.0), status=done, result=True)
    spec = cell(iterations=1000)
    forecast = forecast_run(tmp_path, [spec], EXECUTION)
    assert forecast.cells == {spec.key: 0.5 * 1000 + 20.0}
    assert forecast.sentences() == ["about 9 min (from earlier cells: gain)"]


def test_a_cell_that_goes_on_is_counted_from_where_it_is(tmp_path):
    spec = cell()
    left(tmp_path, spec, log=[(1, 2.0), (100, 40.0)], status={"threads": 2})
    forecast = forecast_run(tmp_path, [spec], EXECUTION)
    assert forecast.cells[spec.key] == pytest.approx(200 * 0.4)
    assert "evaluation is not known and not counted" in forecast.sentences()[0]


@pytest.mark.parametrize(
    "other", [cell(size=128), cell(batch=4), cell(base=16), cell("telea")], ids=["size", "batch", "base", "method"]
)
def test_cells_of_another_kind_say_nothing(tmp_path, other):
    left(tmp_path, other, training=(100, 50.0))
    assert forecast_run(tmp_path, [cell()], EXECUTION).cells == {cell().key: None}


def test_cells_that_had_other_threads_say_nothing(tmp_path):
    left(tmp_path, cell(seed=1), training=(100, 50.0), status={"threads": 1})
    assert forecast_run(tmp_path, [cell()], EXECUTION).cells == {cell().key: None}


def test_damaged_files_of_earlier_cells_are_passed_over(tmp_path):
    left(tmp_path, cell(seed=1), training=(100, 50.0))
    for name, content in (("spec.json", "{"), ("training.json", "[]")):
        (cell_folder(tmp_path, cell(seed=1)) / name).write_text(content)
    assert forecast_run(tmp_path, [cell()], EXECUTION).wall() is None


def test_only_what_nobody_knows_is_timed_and_only_one_cell_of_a_kind(tmp_path):
    left(tmp_path, cell("telea", seed=9, iterations=0), status={"state": "done", "attempts": 1, "seconds": 3.0})
    left(tmp_path, cell("partial_conv", seed=9), training=(10, 5.0))
    asked = []

    def timer(specs, execution):
        asked.extend(spec.method.label for spec in specs)
        return {kind_of(specs[0]): Pace(2.0, 10.0, "timed")}

    specs = [cell("gain"), cell("gain", seed=1), cell("partial_conv"), cell("gain[delta=0]")]
    forecast = forecast_run(tmp_path, specs, EXECUTION, timer)
    assert asked == ["gain", "gain[delta=0]"]
    assert list(forecast.cells.values()) == [610.0, 610.0, 150.0, 610.0]
    assert [pace.source for pace in forecast.paces.values()] == ["timed", "timed", "earlier", "kin"]
    assert "from other options of the same method: gain[delta=0]" in forecast.sentences()[0]


def test_cells_fill_the_jobs_in_their_order():
    seconds = {"a": 100.0, "b": 30.0, "c": 30.0, "d": 30.0, "e": 20.0, "f": None}
    forecast = Forecast(seconds, paces={}, labels={}, jobs=2)
    assert forecast.wall() == 110.0  # b, c, d and e, one after the other, beside a
    assert forecast.wall({"b": 5.0}) == 5.0
    assert forecast.wall({"f": None}) is None


def test_a_run_of_nothing_takes_no_sentence():
    assert Forecast({}, {}, {}, jobs=2).sentences() == []


def test_a_sentence_names_some_of_many_methods():
    names = [f"m{number:02d}" for number in range(500)]
    assert few_of([*names[:3], *names[:3]]) == "m00, m01, m02"
    assert few_of(names).endswith("m22, m23 and 476 more")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (12_000, "3 h 20 min"), (270_000, "3 d 3 h")],
)
def test_time_spans_are_said_to_two_places(seconds, said):
    assert duration(seconds) == said


def test_a_kind_is_what_decides_the_pace():
    assert kind_of(cell(iterations=5, test_pictures=3)) == Kind("gain", 1, None, 64, 8, 8)

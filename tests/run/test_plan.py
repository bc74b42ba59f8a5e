"""Plans: names checked, keys that change with what decides the rows and with nothing else, earlier work found again."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from gainbench.atomic import write_json
from gainbench.errors import DataError, MethodError, SpecError
from gainbench.run.plan import plan_suite
from gainbench.run.store import read_suite
from gainbench.spec import CellResult, CellSpec, MaskSpec, MethodSpec, Scale, Suite

pytestmark = pytest.mark.usefixtures("own_cache")

SPEC = CellSpec(
    dataset="folder",
    manifest_hash="m" * 32,
    method=MethodSpec(name="gain", params={"guidance": "canny", "base": 16}),
    revision=2,
    seed=5,
    scale=Scale(name="tiny", size=64, base=8, batch=8, iterations=300, test_pictures=40),
    masks=MaskSpec(),
    mask_hash="h" * 32,
    metrics=("l1_mean",),
)


def labels(plan) -> list[str]:
    return [cell.spec.method.label for cell in plan.cells]


@pytest.fixture
def planned(suite, pictures, plugin, tmp_path):
    def plan(**options):
        options = {"methods": ["steady"], "plugin": plugin, "data_paths": {"folder": pictures}} | options
        return plan_suite(options.pop("suite", suite), root=tmp_path / "runs", **options)

    return plan


def test_the_key_is_the_documented_hash_of_the_documented_fields():
    written = (
        '{"manifest":"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm","masks":"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh","method":"gain",'
        '"params":{"base":16,"guidance":"canny"},"plugin":null,"revision":2,"scale":{"base":8,"batch":8,'
        '"iterations":300,"name":"tiny","schedule":"constant","size":64,"test_pictures":40},"schema":2,"seed":5,"split":"test"}'
    )
    assert hashlib.blake2b(written.encode(), digest_size=16).hexdigest() == SPEC.key
    # Written down so that a change of it, which orphans every stored result, is noticed.
    assert SPEC.key == "b8fa1538f7f82e3b72d6cb5cb0eb1907"
    assert SPEC.folder_name == f"folder/gain_base=16_guidance=canny-s5-{SPEC.key[:8]}"


@pytest.mark.parametrize(
    "change",
    [
        {"manifest_hash": "n" * 32},
        {"method": MethodSpec(name="gain", params={"guidance": "canny", "base": 8})},
        {"method": MethodSpec(name="partial_conv", params={"guidance": "canny", "base": 16})},
        {"revision": 3},
        {"plugin_hash": "p" * 32},
        {"seed": 6},
        {"scale": SPEC.scale.model_copy(update={"iterations": 301})},
        {"mask_hash": "i" * 32},
    ],
)
def test_whatever_decides_the_rows_changes_the_key(change):
    assert SPEC.model_copy(update=change).key != SPEC.key


@pytest.mark.parametrize(
    "change",
    [
        {"data_path": Path("/elsewhere")},
        {"plugin": Path("/elsewhere/plugin.py")},
        {"metrics": ("psnr_rgb",)},
        {"samples": 9},
        {"method": MethodSpec(name="gain", params={"base": 16, "guidance": "canny"})},
    ],
)
def test_where_files_lie_and_what_is_asked_of_the_rows_do_not_change_the_key(change):
    assert SPEC.model_copy(update=change).key == SPEC.key


def test_a_plan_has_one_cell_for_every_data_set_method_and_seed(planned):
    plan = planned(methods=["steady", "learning"], seeds=[0, 1])
    found = [(cell.spec.dataset, cell.spec.method.label, cell.spec.seed) for cell in plan.cells]
    assert found == [(d, m, s) for d in ["folder"] for m in ["steady", "learning"] for s in [0, 1]]
    assert {cell.stage for cell in plan.cells} == {"new"}


def test_a_label_takes_one_method_and_a_name_that_is_no_label_every_variant(planned, suite):
    written = ["steady[level=0.1]", "steady[level=0.2]", "learning", "dawdling"]
    variants = suite.model_copy(update={"methods": tuple(map(MethodSpec.parse, written))})
    assert labels(planned(suite=variants, methods=["steady[level=0.2]"])) == ["steady[level=0.2]"]
    assert labels(planned(suite=variants, methods=["learning", "steady"])) == ["learning", *written[:2]]


def test_methods_of_a_plugin_join_the_suite_and_may_be_given_options(planned):
    joined = labels(planned(methods=None))
    assert joined[0] == "telea"
    assert {"steady", "learning", "raising"} <= set(joined)
    assert labels(planned(methods=["steady[level=0.25]"])) == ["steady[level=0.25]"]


def test_an_installed_method_that_the_suite_lacks_joins_it_and_the_resolved_suite_says_so(planned):
    plan = planned(methods=["telea", "navier_stokes[radius=5]", "mean_fill"], plugin=None)
    assert labels(plan) == ["telea", "navier_stokes[radius=5]", "mean_fill"]
    assert plan.resolved.narrowed == ("methods added: navier_stokes[radius=5], mean_fill",)
    assert [method.label for method in plan.resolved.suite.methods] == labels(plan)


def test_only_cells_of_the_plugin_carry_its_hash(planned, plugin):
    plan = planned(methods=["telea", "steady"])
    expected = hashlib.blake2b(plugin.read_bytes(), digest_size=16).hexdigest()
    assert [cell.spec.plugin_hash for cell in plan.cells] == [None, expected]
    assert [cell.spec.plugin for cell in plan.cells] == [None, plugin]


def test_a_plugin_is_imported_as_often_for_many_cells_as_for_one(planned, tmp_path):
    imports = tmp_path / "imports"
    plugin = tmp_path / "counting.py"
    plugin.write_text(
        "from gainbench import Inpainter\n"
        f"with open({str(imports)!r}, 'a') as file:\n    file.write('x')\n"
        "class Counting(Inpainter):\n    name = 'counting'\n"
    )
    counts = []
    for seeds in ([0], range(50)):
        imports.write_text("")
        assert len(planned(methods=["counting"], plugin=plugin, seeds=seeds).cells) == len(seeds)
        counts.append(len(imports.read_text()))
    assert 0 < counts[0] == counts[1]


def test_narrowings_are_written_into_the_resolved_suite(planned, suite):
    two = suite.model_copy(update={"methods": tuple(map(MethodSpec.parse, ["telea", "steady"])), "seeds": (0, 1)})
    resolved = planned(suite=two, methods=["steady"], seeds=[1, 2], iterations=2).resolved
    assert resolved.narrowed == (
        "methods left out: telea",
        "seeds left out: 0",
        "seeds added: 2",
        "training budget set to 2 iterations on the command line",
    )
    assert resolved.scale.iterations == resolved.suite.iterations == 2
    assert [cell.seed for cell in resolved.cells] == [1, 2]


def test_a_data_set_whose_folder_is_given_joins_the_suite(planned, pictures):
    plan = planned(data_paths={"folder": pictures, "celeba-hq": pictures})
    assert [cell.spec.dataset for cell in plan.cells] == ["folder", "celeba-hq"]


def test_the_whole_suite_is_not_narrowed(planned, suite):
    plain = planned(methods=None, plugin=None)
    assert plain.resolved.narrowed == ()
    assert labels(plain) == ["telea"]


def test_auto_takes_the_gpu_scale_where_cuda_is_present_and_never_full(planned, suite, monkeypatch):
    unbound = suite.model_copy(update={"scale": "auto", "iterations": None})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert planned(suite=unbound).resolved.scale.name == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert planned(suite=unbound).resolved.scale.name == "gpu"
    assert planned(suite=unbound, scale="full").resolved.scale.iterations == 1_000_000


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"methods": ["stedy"]}, SpecError, "did you mean 'steady'"),
        ({"methods": ["gated_cnov"]}, SpecError, "did you mean 'gated_conv'"),
        ({"methods": ["navier_stokes[radus=9]"]}, MethodError, "did you mean 'radius'"),
        ({"methods": ["telea[radius=9]"]}, SpecError, "suite little has telea, not telea[radius=9]; other options"),
        ({"methods": ["telea[radus=9]"]}, MethodError, "did you mean 'radius'"),
        ({"methods": ["steady[levle=0.5]"]}, MethodError, "did you mean 'level'"),
        ({"methods": ["steady[level=7]"]}, MethodError, "less than or equal to 1"),
        ({"scale": "tinny"}, SpecError, "did you mean 'tiny'"),
        ({"datasets": ["foldr"]}, SpecError, "did you mean 'folder'"),
        ({"datasets": ["places2"]}, SpecError, "--data places2=PATH"),
        ({"data_paths": {"celebahq": Path()}}, SpecError, "did you mean 'celeba-hq'"),
        (
            {"datasets": ["folder"], "data_paths": {"folder": Path(), "places2": Path()}},
            SpecError,
            "--datasets folder,pl",
        ),
        ({"data_paths": {"folder": Path("/nowhere")}}, DataError, "/nowhere"),
        ({"seeds": [0, 1, 0]}, SpecError, "seeds named twice: 0; name each once"),
        ({"suite": "smoek"}, SpecError, "did you mean 'smoke'"),
    ],
)
def test_what_is_written_wrongly_is_refused_with_the_nearest_valid_name(planned, options, error, message):
    with pytest.raises(error, match=message.replace("[", r"\[")):
        planned(**options)


def test_an_unknown_metric_is_refused_with_the_nearest_valid_one(planned, suite):
    wrong = suite.model_copy(update={"metrics": ("l1_mean", "psnr_rbg")})
    with pytest.raises(SpecError, match="did you mean 'psnr_rgb'"):
        planned(suite=wrong)


def test_a_data_set_whose_path_is_given_may_replace_the_suites(planned, suite):
    plan = planned(suite=suite.model_copy(update={"datasets": ("orl-400",)}), datasets=["folder"])
    assert [cell.spec.dataset for cell in plan.cells] == ["folder"]
    assert plan.resolved.narrowed[-2:] == ("data sets left out: orl-400", "data sets added: folder")


def test_planning_writes_nothing_and_saving_writes_the_suite_and_the_manifest(planned, tmp_path):
    plan = planned()
    assert not (tmp_path / "runs").exists()
    plan.save()
    record = plan.resolved.datasets["folder"]
    manifest = json.loads((tmp_path / "runs" / "manifests" / f"{record.manifest_hash[:12]}.json").read_text())
    assert sorted(entry[0] for entry in manifest["entries"]) == [f"{number:02d}.png" for number in range(15)]
    assert record.photographs == 15
    assert read_suite(tmp_path / "runs", "little") == plan.resolved


def test_the_stage_tells_what_an_earlier_attempt_left(planned):
    plan = planned(methods=["learning"])
    folder = plan.cells[0].stored.folder

    def stage_now():
        return planned(methods=["learning"]).cells[0].stage

    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "10.safetensors").touch()
    assert stage_now() == "new"
    (folder / "checkpoint" / "10.pt").touch()
    assert stage_now() == "resume"
    (folder / "weights.safetensors").touch()
    assert stage_now() == "evaluate"
    write_json(folder / "result.json", result_of(plan.cells[0].spec).model_dump(mode="json"))
    assert stage_now() == "done"


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ({"metrics": ("l1_mean",), "missing": {}}, "evaluate"),
        ({"metrics": ("l1_mean",), "missing": {"psnr_rgb": "no weights"}}, "done"),
    ],
)
def test_a_cell_is_done_once_it_has_every_metric_that_can_be_had(planned, change, stage):
    spec = planned().cells[0].spec
    folder = planned().cells[0].stored.folder
    write_json(folder / "result.json", result_of(spec).model_copy(update=change).model_dump(mode="json"))
    assert planned().cells[0].stage == stage


def test_a_metric_whose_weights_have_arrived_is_computed_after_all(planned, suite, monkeypatch):
    with_fid = suite.model_copy(update={"metrics": (*suite.metrics, "fid")})
    cell = planned(suite=with_fid).cells[0]
    result = result_of(cell.spec).model_copy(update={"metrics": suite.metrics, "missing": {"fid": "no weights"}})
    write_json(cell.stored.folder / "result.json", result.model_dump(mode="json"))
    assert planned(suite=with_fid).cells[0].stage == "done"
    monkeypatch.setattr("gainbench.run.reuse.available", lambda asset: asset == "inception-fid")
    assert planned(suite=with_fid).cells[0].stage == "evaluate"


def test_more_samples_than_there_are_ask_for_another_evaluation(planned, suite):
    cell = planned().cells[0]
    write_json(cell.stored.folder / "result.json", result_of(cell.spec).model_dump(mode="json"))
    assert planned(suite=suite.model_copy(update={"samples": 0})).cells[0].stage == "done"
    assert planned(suite=suite.model_copy(update={"samples": 2})).cells[0].stage == "evaluate"


@pytest.mark.parametrize(
    "beyond", [{"seeds": [0, 10**19]}, {"seeds": [-(2**63) - 1]}, {"iterations": 10**13}, {"iterations": -1}]
)
def test_seeds_and_budgets_that_no_suite_may_have_are_refused_before_anything_is_written(planned, tmp_path, beyond):
    with pytest.raises(SpecError, match=f"{next(iter(beyond))}.*found"):
        planned(**beyond)
    assert not (tmp_path / "runs").exists()


def test_the_largest_seed_and_budget_can_be_read_again(planned):
    suite = planned(seeds=[2**63 - 1], iterations=10**12).resolved.suite
    assert Suite.model_validate(suite.model_dump(mode="json")) == suite


def result_of(spec: CellSpec) -> CellResult:
    return CellResult(
        key=spec.key,
        spec=spec,
        metrics=spec.metrics,
        missing={},
        set_metrics=(),
        pairing_sha256="0" * 64,
        rows_sha256="0" * 64,
        cost={},
        environment={},
    )

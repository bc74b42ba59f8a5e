"""A finished cell opened again: its weights, and pictures that its training never saw."""

import json
import shutil

import pytest
import torch
from gainbench_baselines.edge_report import edge_report, main
from safetensors.torch import load_file, save_file

from gainbench import open_cell
from gainbench.errors import MethodError, RunError, TrainingError
from gainbench.run.cell import build_trained
from gainbench.run.grid import run_suite
from gainbench.run.store import read_results
from gainbench.spec import MethodSpec

pytestmark = pytest.mark.usefixtures("own_cache")

# One iteration, all of it the first stage's: no VGG-16 is needed.
EDGES = MethodSpec.parse("edge_canny[base=4,edge_fraction=0.9,joint_fraction=0.0,sigma=0.3]")


@pytest.fixture(scope="module")
def cells(own_cache, tmp_path_factory, suite, pictures):
    root = tmp_path_factory.mktemp("held-out")
    little = suite.model_copy(update={"methods": (EDGES, MethodSpec(name="telea")), "iterations": 1})
    run_suite(little, root=root, data_paths={"folder": pictures}, executor="in_process")
    return {cell.spec.method.name: cell for cell in read_results(root).cells}


def test_the_method_comes_with_its_weights(cells):
    opened = open_cell(cells["edge_canny"].folder)
    expected = build_trained(cells["edge_canny"].spec, cells["edge_canny"].folder / "weights.safetensors").state_dict()
    found = opened.method.state_dict()
    assert opened.spec == cells["edge_canny"].spec
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert not opened.method.training


def test_weights_that_completing_uses_cannot_be_left_out(cells, tmp_path):
    spec, path = cells["edge_canny"].spec, tmp_path / "weights.safetensors"
    state = load_file(cells["edge_canny"].folder / "weights.safetensors")
    idle = [name for name in state if name.startswith(("D1.", "D2."))]
    used = "G2.layers.1.weight"
    for names, refused in ((idle, False), ([*idle, used], True)):
        kept = {name: tensor for name, tensor in state.items() if name not in names}
        save_file(kept, path, {"left_out": json.dumps(names)})
        if refused:
            with pytest.raises(TrainingError, match=f"leaves out weights that completing a picture uses: {used}$"):
                build_trained(spec, path)
        else:
            build_trained(spec, path)


def test_held_out_pictures_are_the_splits_with_every_hole(cells, pictures):
    opened = open_cell(cells["edge_canny"].folder)
    whole = [(ids, batch) for ids, batch in opened.held_out(batch=3)]
    ids = [image_id for part, _ in whole for image_id in part]
    trained = set(opened._dataset.pictures("train", 64).ids)
    tested = set(opened._dataset.pictures("test", 64).ids)
    assert len(set(ids)) == 2  # a tenth of fifteen
    assert not set(ids) & (trained | tested)
    assert len(ids) == 2 * 2  # pictures, bins
    image = torch.cat([batch.image for _, batch in whole])
    known = torch.cat([batch.known for _, batch in whole])
    assert image.shape == (4, 3, 64, 64)
    assert known.shape == (4, 1, 64, 64)
    assert set(known.unique().tolist()) == {0, 1}
    assert torch.equal(image[0], image[1])
    assert not torch.equal(image[1], image[2])
    shares = (1 - known).mean((1, 2, 3))
    assert bool(((shares > 0.05) & (shares < 0.45)).all())
    (again,) = (batch for _, batch in opened.held_out(batch=8))
    assert torch.equal(again.image, image)
    assert torch.equal(again.known, known)
    assert len(list(opened.held_out(pictures=1, batch=4))) == 1


def test_what_is_no_trained_cell_is_refused(cells, tmp_path):
    with pytest.raises(MethodError, match="not trained to its end"):
        open_cell(cells["telea"].folder)
    with pytest.raises(MethodError, match="no weights at"):
        open_cell(tmp_path / "nowhere")
    with pytest.raises(RunError, match="expected the folder of a cell"):
        open_cell(cells["edge_canny"].folder / "weights.safetensors")


def test_changed_photographs_are_told(cells, suite, pictures, tmp_path):
    moved = shutil.copytree(cells["edge_canny"].folder, tmp_path / "cell")
    text = (moved / "spec.json").read_text()
    (moved / "spec.json").write_text(text.replace(cells["edge_canny"].spec.manifest_hash, "0" * 32))
    with pytest.raises(RunError, match="changed since"):
        open_cell(moved)


def test_the_first_stage_of_a_cell_is_judged(cells):
    scores = edge_report(cells["edge_canny"].folder)
    assert len(scores) == 4 * 2 * 2
    by_name = {score.candidate: score for score in scores if score.tolerance == 0 and score.best}
    assert by_name["empty"].f1 == 0
    assert by_name["full"].recall == 1
    assert 0 < by_name["full"].precision < 0.5
    # Untrained but for one step: no better than marking everything.
    assert by_name["first stage"].f1 <= by_name["full"].f1 + 0.05


def test_the_report_is_a_command(cells, capsys):
    assert main([str(cells["edge_canny"].folder), "--pictures", "1", "--split", "test"]) == 1
    told = capsys.readouterr().out
    assert "nearest visible edges" in told
    assert len(told.splitlines()) == 1 + 4 * 2 * 2


def test_a_cell_of_another_method_is_refused(cells, monkeypatch):
    monkeypatch.setattr("gainbench_baselines.edge_report.EdgeConnect", type("Other", (), {}))
    with pytest.raises(TypeError, match="expected edge_canny or edge_hed"):
        edge_report(cells["edge_canny"].folder)

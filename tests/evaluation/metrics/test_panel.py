import numpy as np
import pytest
import torch

from gainbench.errors import AssetError, EvaluationError
from gainbench.evaluation.metrics import panel as panel_module
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.evaluation.metrics.frechet import SET_METRICS
from gainbench.evaluation.metrics.panel import open_panel
from gainbench.evaluation.metrics.perceptual import Lpips
from gainbench.evaluation.metrics.pixel import l1_hole, psnr_rgb

CPU = torch.device("cpu")


def rows(seed, count, size=64):
    generator = np.random.default_rng(seed)
    completed, original = generator.integers(0, 256, (2, count, size, size, 3), dtype=np.uint8)
    return completed, original, generator.random((count, size, size)) < 0.6


def test_every_metric_of_the_catalogue_is_computed_here_and_nothing_else():
    pictures = [*panel_module._WHOLE, *panel_module._HOLE, *panel_module._LPIPS]
    assert sorted(pictures) == sorted(info.id for info in METRICS.values() if info.per == "picture")
    assert sorted(SET_METRICS) == sorted(info.id for info in METRICS.values() if info.per == "set")
    assert {info.id for info in METRICS.values() if info.hole} == {*panel_module._HOLE}
    assert {info.id for info in METRICS.values() if info.asset} == {*panel_module._LPIPS, *SET_METRICS}


def test_each_id_gets_its_own_function_in_the_order_asked_for():
    completed, original, known = rows(0, 3)
    panel = open_panel(["psnr_rgb", "l1_hole"], CPU, size=64)
    values = panel.measure(completed, original, known, [0, 1, 2])
    assert list(values) == ["psnr_rgb", "l1_hole"]
    assert (values["psnr_rgb"] == psnr_rgb(completed, original)).all()
    assert (values["l1_hole"] == l1_hole(completed, original, known)).all()
    assert all(panel.seconds[metric] > 0 for metric in values)


def test_an_unknown_metric_is_refused():
    with pytest.raises(EvaluationError, match="no metric named"):
        open_panel(["l1_mean", "lpips_squeeze"], CPU, size=64)


def test_missing_weights_are_said_once_per_metric_and_asked_for_once(monkeypatch):
    asked = []

    def absent(name, **_):
        asked.append(name)
        raise AssetError(f"asset {name} is missing; run gainbench assets fetch {name}")

    monkeypatch.setattr("gainbench.evaluation.metrics.features.asset_path", absent)
    panel = open_panel(["fid", "fid_pytorch", "kid_mobilenetv2", "fd_mobilenetv2", "l1_mean"], CPU, size=64)
    assert set(panel.missing) == {"fid", "fid_pytorch", "kid_mobilenetv2", "fd_mobilenetv2"}
    assert "assets fetch inception-fid" in panel.missing["fid_pytorch"]
    assert "assets fetch mobilenet-v2" in panel.missing["fd_mobilenetv2"]
    assert sorted(asked) == ["inception-fid", "mobilenet-v2"]
    assert panel.pictures == ["l1_mean"]
    assert not panel.sets
    assert not panel.extractors


def test_a_metric_whose_window_does_not_fit_is_missing_and_says_the_sizes():
    panel = open_panel(["legacy_edgeconnect_ssim", "ssim_rgb_g11"], CPU, size=48)
    assert panel.pictures == ["ssim_rgb_g11"]
    assert "at least 51 px, these have 48" in panel.missing["legacy_edgeconnect_ssim"]


@pytest.mark.parametrize("metric", [info.id for info in METRICS.values() if info.smallest > 1 and not info.asset])
def test_the_smallest_side_is_the_one_that_the_metric_still_takes(metric):
    smallest = METRICS[metric].smallest
    function = panel_module._WHOLE[metric]
    completed, original, _ = rows(2, 1, size=smallest)
    assert np.isfinite(function(completed, original)).all()
    with pytest.raises(EvaluationError, match=f"{smallest}x{smallest}"):
        function(completed[:, 1:], original[:, 1:])


@pytest.mark.assets
def test_shared_originals_are_embedded_once_and_give_the_same_values(monkeypatch):
    embedded = []
    embed = Lpips.embed
    monkeypatch.setattr(Lpips, "embed", lambda self, batch: embedded.append(len(batch)) or embed(self, batch))
    completed, original, known = rows(1, 6)
    images = [7, 7, 7, 3, 3, 9]
    original = original[[0, 0, 0, 1, 1, 2]]
    panel = open_panel(["lpips_alex"], CPU, size=64)
    parts = [
        panel.measure(completed[part], original[part], known[part], images[part])["lpips_alex"]
        for part in (slice(0, 2), slice(2, 4), slice(4, 6))
    ]
    assert embedded == [1, 1, 1]
    assert len(panel._embedded["lpips_alex"]) <= 2
    assert (np.concatenate(parts) == Lpips("alex", CPU)(completed, original)).all()


@pytest.mark.assets
@pytest.mark.parametrize("metric", panel_module._LPIPS)
def test_the_smallest_side_is_the_one_that_the_network_still_takes(metric):
    smallest = METRICS[metric].smallest
    completed, original, _ = rows(3, 1, size=smallest)
    network = Lpips(panel_module._LPIPS[metric], CPU)
    assert np.isfinite(network(completed, original)).all()
    with pytest.raises(RuntimeError, match="Output size is too small"):
        network(completed[:, 1:], original[:, 1:])

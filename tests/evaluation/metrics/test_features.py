from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import Inception3, MobileNet_V2_Weights
from torchvision.transforms.functional import normalize

from gainbench.assets import asset_path
from gainbench.errors import AssetError, EvaluationError
from gainbench.evaluation.metrics.features import (
    FeatureExtractor,
    cached_features,
    inception_features,
    load_inception,
    load_mobilenet_v2,
    mobilenet_v2_features,
    resize_clean,
)

CPU = torch.device("cpu")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pictures(seed, count, size=32):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def tensor(batch):
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("side", [20, 32, 75])
def test_clean_resizing_is_bicubic_and_antialiased(side):
    batch = pictures(0, 2)
    reference = torch.nn.functional.interpolate(tensor(batch), size=side, mode="bicubic", antialias=True).clamp(0, 255)
    assert resize_clean(batch, side) == pytest.approx(reference.permute(0, 2, 3, 1).numpy(), abs=1e-3)


def test_clean_resizing_is_not_rounded_to_8_bit():
    resized = resize_clean(pictures(1, 1), 50)
    assert np.abs(resized - np.rint(resized)).max() > 0.4


def test_clean_resizing_keeps_the_range_and_a_flat_picture():
    checker = (np.indices((32, 32)).sum(0) // 4 % 2 * 255).astype(np.uint8)
    resized = resize_clean(np.repeat(checker[None, ..., None], 3, axis=3), 100)
    assert resized.min() == 0.0
    assert resized.max() == 255.0
    assert resize_clean(np.full((1, 32, 32, 3), 77, np.uint8), 100) == pytest.approx(77.0, abs=1e-3)


@pytest.mark.assets
@pytest.mark.parametrize(("number", "animal"), [(11, "jay"), (23, "axolotl"), (3, "lesser panda"), (74, "pelican")])
def test_mobilenet_v2_knows_the_animals_of_the_photographs(number, animal):
    (path,) = asset_path("photos-230").rglob(f"classification/**/{number}.jpg")
    picture = resize_clean(np.asarray(Image.open(path).convert("RGB"))[None], 224)
    with torch.inference_mode():
        scores = load_mobilenet_v2()(normalize(tensor(picture) / 255, MEAN, STD))
    assert MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"][scores.argmax().item()] == animal


@pytest.mark.assets
def test_mobilenet_v2_features_are_what_its_classifier_reads():
    batch = pictures(2, 5, size=48)
    features = mobilenet_v2_features(CPU)(batch)
    assert features.shape == (5, 1280)
    assert features.dtype == np.float32
    read = []
    network = load_mobilenet_v2()
    network.classifier.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    with torch.inference_mode():
        network(normalize(tensor(resize_clean(batch, 224)) / 255, MEAN, STD))
    assert features == pytest.approx(read[0].numpy(), abs=1e-4)


@pytest.mark.assets
def test_features_do_not_depend_on_the_pictures_beside_them():
    batch = pictures(3, 6)
    extractor = mobilenet_v2_features(CPU)
    together = extractor(batch)
    assert (extractor(batch[5:]) == together[5:]).all()
    assert (extractor(batch[::-1]) == together[::-1]).all()


def counting_extractor(calls):
    def network(batch):
        calls.append(len(batch))
        return batch.mean(dim=(2, 3))

    return FeatureExtractor("mean-1", 3, network, lambda batch: batch, CPU)


def test_features_are_computed_once_for_the_same_content(tmp_path):
    calls, batch = [], pictures(4, 6)
    extractor = counting_extractor(calls)
    first = cached_features(batch, extractor, tmp_path)
    assert first == pytest.approx(batch.mean(axis=(1, 2)), rel=1e-5)
    spent = len(calls)
    assert spent > 0
    again = cached_features(list(batch.copy()), extractor, tmp_path)
    assert (again == first).all()
    assert len(calls) == spent


def test_other_content_order_or_network_is_computed_anew(tmp_path):
    calls, batch = [], pictures(5, 4)
    extractor = counting_extractor(calls)
    cached_features(batch, extractor, tmp_path)
    changed = batch.copy()
    changed[3, 0, 0, 0] ^= 1
    assert cached_features(changed, extractor, tmp_path) == pytest.approx(changed.mean(axis=(1, 2)), rel=1e-5)
    swapped = cached_features(batch, extractor, tmp_path, indices=[1, 0])
    assert swapped == pytest.approx(batch[[1, 0]].mean(axis=(1, 2)), rel=1e-5)
    other = FeatureExtractor("max-1", 3, lambda x: x.amax(dim=(2, 3)), lambda x: x, CPU)
    assert (cached_features(batch, other, tmp_path) == batch.max(axis=(1, 2))).all()


@pytest.mark.parametrize("spoil", [b"", b"not numpy", None])
def test_a_damaged_cache_is_computed_again(tmp_path, spoil):
    calls, batch = [], pictures(6, 3)
    extractor = counting_extractor(calls)
    first = cached_features(batch, extractor, tmp_path)
    (path,) = tmp_path.rglob("*.npy")
    if spoil is None:
        np.save(path, first[:2])
    else:
        path.write_bytes(spoil)
    assert (cached_features(batch, extractor, tmp_path) == first).all()
    assert (np.load(path) == first).all()


def test_floats_are_refused():
    with pytest.raises(EvaluationError, match="found float64"):
        counting_extractor([])(np.zeros((1, 8, 8, 3)))


def test_without_the_published_weights_there_is_no_inception(monkeypatch, tmp_path):
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("GAINBENCH_OFFLINE", "1")
    monkeypatch.delenv("GAINBENCH_FID_WEIGHTS", raising=False)
    monkeypatch.delenv("GAINBENCH_ASSETS", raising=False)
    with pytest.raises(AssetError, match=r"GAINBENCH_FID_WEIGHTS"):
        inception_features(CPU, clean=True)


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory):
    """A state dict with the names and shapes of the published one; the graph does not care what the numbers are."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"

    def capture(self, state):
        # PyTorch's default weights let activations die out over fifty layers; these keep their variance.
        weights = {name: value * 6**0.5 if value.ndim == 4 else value for name, value in self.state_dict().items()}
        torch.save(weights, path)

    torch.save({}, path)
    with torch.random.fork_rng(devices=[]), mock.patch.object(Inception3, "load_state_dict", capture):
        torch.manual_seed(0)
        load_inception(path, resize_input=False)
    return path


def test_inception_reads_its_file_and_both_preprocessings_are_as_named(inception_weights, monkeypatch):
    monkeypatch.setattr("gainbench.evaluation.metrics.features.asset_path", lambda name: inception_weights)
    monkeypatch.setattr("gainbench.evaluation.metrics.batches.NETWORK_BATCH", 1)  # four forward passes fewer
    batch = pictures(7, 1, size=64)
    graph = load_inception(inception_weights, resize_input=False)
    with torch.inference_mode():
        clean = torch.from_numpy(resize_clean(batch, 299)).permute(0, 3, 1, 2)
        bilinear = torch.nn.functional.interpolate(tensor(batch), size=299, mode="bilinear", align_corners=False)
        graph_features = [graph(resized / 255)[0].flatten(1).numpy() for resized in (clean, bilinear)]
    for is_clean, reference in zip((True, False), graph_features, strict=True):
        features = inception_features(CPU, clean=is_clean)(batch)
        assert features.shape == (1, 2048)
        assert np.abs(features - reference).max() < 1e-4 * reference.max()
    assert np.abs(graph_features[0] - graph_features[1]).max() > 1e-2 * reference.max()

import pytest
import torch
from typer.testing import CliRunner

from gainbench.cli import app
from gainbench.registry import installed_methods
from gainbench.run.check import check_method
from gainbench.spec import Scale

SMALL = Scale(name="check", size=32, base=4, batch=4, iterations=20, test_pictures=1)
HEAD = """
import time
import torch
from torch import nn
from gainbench import Inpainter, Phase, TrainableInpainter


class Network(TrainableInpainter):
    name = "network"

    def __init__(self, params, scale):
        super().__init__(params, scale)
        self.layer = nn.Conv2d(4, 3, 5, padding=2)
        self.bias = nn.Parameter(torch.zeros(1))

    def predict(self, image, known):
        return torch.sigmoid(self.layer(torch.cat([image * known, known], 1)) + self.bias)

    def loss(self, batch, step):
        return {"l1": (self.predict(batch.image, batch.known) - batch.image).abs().mean()}

    def phases(self):
        return [Phase("generator", [self], self.loss, lr=1e-2)]

    def inpaint(self, image, known):
        return self.predict(image, known)
"""
FAULTS = {
    "Output has the picture's shape, is finite and lies in [0, 1]": """
    def inpaint(self, image, known):
        return self.predict(image, known) * 2 - 1
""",
    "Hidden pixels set to noise change no output bit": """
    def predict(self, image, known):
        return torch.sigmoid(self.layer(torch.cat([image, known], 1)) + self.bias)
""",
    "A picture's output does not depend on the others in its batch": """
    def inpaint(self, image, known):
        return (self.predict(image, known) + 0.1 * image.mean() * known.shape[0]).clamp(0, 1)
""",
    "The same seed gives the same method and the same output": """
    def inpaint(self, image, known):
        return self.predict(image, known) * (time.perf_counter_ns() % 1000) / 1000
""",
    "Every phase's losses are finite scalars": """
    def loss(self, batch, step):
        return {"l1": (self.predict(batch.image, batch.known) - batch.image).abs()}
""",
    "Every parameter belongs to a phase and gets a gradient": """
    def phases(self):
        return [Phase("generator", [self.layer], self.loss, lr=1e-2)]
""",
    "Saved weights, loaded into a new method, give the same output": """
    def state_dict(self, *arguments, **options):
        return {k: v for k, v in super().state_dict(*arguments, **options).items() if k != "bias"}

    def load_state_dict(self, state, strict=True, assign=False):
        return super().load_state_dict(state, strict=False)
""",
    "A training that is interrupted and resumed ends with the same bits": """
    calls = 0

    def loss(self, batch, step):
        self.calls += 1
        return {"l1": (self.predict(batch.image, batch.known) - batch.image).abs().mean() * self.calls ** 2}
""",
    "The masks that it tells are 0 and 1, and no hidden pixel changes one": """
    def shrinkage(self, image, known):
        return {"bright": (image.mean(1, keepdim=True) > 0.5).float()}
""",
    "Twenty iterations lower the error in the holes": """
    def loss(self, batch, step):
        return {"l1": -(self.predict(batch.image, batch.known) - batch.image).abs().mean()}
""",
}


def subclass(body):
    indented = body if body.strip() else "    pass\n"
    return HEAD.replace('name = "network"', "pass") + f'\n\nclass Faulty(Network):\n    name = "faulty"\n{indented}'


@pytest.mark.assets
def test_a_sound_plugin_passes_every_line(tmp_path):
    path = tmp_path / "sound.py"
    path.write_text(HEAD)
    verdicts = check_method(path, scale=SMALL)
    assert len(verdicts) == 11
    assert [verdict for verdict in verdicts if not verdict.passed] == []


@pytest.mark.assets
@pytest.mark.parametrize("behaviour", FAULTS)
def test_each_fault_is_caught_by_its_own_line(tmp_path, behaviour):
    path = tmp_path / "faulty.py"
    path.write_text(subclass(FAULTS[behaviour]))
    failed = {verdict.behaviour for verdict in check_method(path, scale=SMALL) if not verdict.passed}
    assert behaviour in failed


@pytest.mark.assets
def test_frozen_parts_are_no_fault_and_torchs_numbers_are_the_methods_own(tmp_path):
    path = tmp_path / "frozen.py"
    path.write_text(
        HEAD.replace(
            "        self.bias =", "        self.still = nn.Conv2d(3, 3, 1).requires_grad_(False)\n        self.bias ="
        ).replace(
            "return self.predict(image, known)\n",
            "return (self.predict(image, known) + 0.01 * torch.rand(image.shape[1:])).clamp(0, 1)\n",
        )
    )
    assert [verdict for verdict in check_method(path, scale=SMALL) if not verdict.passed] == []


@pytest.mark.assets
def test_numbers_drawn_for_a_whole_batch_are_named_as_what_they_are(tmp_path):
    path = tmp_path / "noise.py"
    path.write_text(
        HEAD.replace("return self.predict(image, known)\n", "return 0 * image.mean() + torch.rand(image.shape)\n")
    )
    failed = {verdict.behaviour: verdict.detail for verdict in check_method(path, scale=SMALL) if not verdict.passed}
    assert "Hidden pixels set to noise change no output bit" not in failed
    assert "The same seed gives the same method and the same output" not in failed
    assert "draws random numbers" in failed["A picture's output does not depend on the others in its batch"]


@pytest.mark.assets
def test_a_method_that_mixes_pictures_is_not_blamed_for_its_random_numbers(tmp_path):
    path = tmp_path / "mixes.py"
    path.write_text(
        HEAD.replace(
            "return self.predict(image, known)\n",
            "return (self.predict(image, known) + image.mean() + 0.01 * torch.rand(image.shape[1:])).clamp(0, 1)\n",
        )
    )
    failed = {verdict.behaviour: verdict.detail for verdict in check_method(path, scale=SMALL) if not verdict.passed}
    assert "random" not in failed["A picture's output does not depend on the others in its batch"]


@pytest.mark.assets
def test_a_phase_without_anything_to_train_is_named(tmp_path):
    path = tmp_path / "frozen.py"
    path.write_text(
        HEAD.replace("        self.bias =", "        self.layer.requires_grad_(False)\n        self.bias =").replace(
            'Phase("generator", [self]', 'Phase("generator", [self.layer]'
        )
    )
    failed = {verdict.behaviour: verdict.detail for verdict in check_method(path, scale=SMALL) if not verdict.passed}
    assert (
        failed["Every parameter belongs to a phase and gets a gradient"]
        == "phase 'generator' has no parameters to train"
    )


@pytest.mark.assets
def test_the_verb_takes_options_of_a_plugins_method(tmp_path):
    path = tmp_path / "network.py"
    path.write_text(HEAD)
    (verdict,) = check_method(f"{path}[width=8]", scale=SMALL)
    assert f"'NAME[width=8]' with --plugin {path}" in verdict.detail
    ran = CliRunner().invoke(app, ["check", "network[x=1]", "--plugin", str(path), "--quiet"])
    assert ran.exit_code == 1
    assert "x" in ran.stderr


@pytest.mark.assets
def test_every_method_of_a_file_is_checked_and_options_can_be_named(tmp_path):
    path = tmp_path / "two.py"
    second = HEAD.split("class Network", 1)[1].replace('"network"', '"gray"')
    path.write_text(
        HEAD
        + "\n\nclass Gray"
        + second.replace("return self.predict(image, known)\n", "return image.mean() * 5 + 0 * image\n")
    )
    verdicts = check_method(path, scale=SMALL)
    assert {verdict.behaviour.split(":")[0] for verdict in verdicts} == {"network", "gray"}
    failed = [verdict.behaviour for verdict in verdicts if not verdict.passed]
    assert failed
    assert all(behaviour.startswith("gray: ") for behaviour in failed)
    assert all(verdict.passed for verdict in check_method("network", plugin=path, scale=SMALL))
    (unknown,) = check_method("network[x=1]", plugin=path, scale=SMALL)
    assert "x" in unknown.detail


@pytest.mark.assets
def test_the_callers_random_state_and_settings_stay(tmp_path, monkeypatch):
    path = tmp_path / "network.py"
    path.write_text(HEAD)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    assert all(verdict.passed for verdict in check_method(path, scale=SMALL))
    assert torch.equal(torch.rand(3), expected)
    assert torch.backends.cudnn.deterministic is False


@pytest.mark.assets
def test_a_plugin_that_cannot_be_built_has_one_verdict_with_the_reason(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(HEAD.replace("nn.Conv2d(4, 3, 5, padding=2)", "nn.Conv2d(4, 3, 5, paddings=2)"))
    verdicts = check_method(path, scale=SMALL)
    assert [verdict.passed for verdict in verdicts] == [False]
    assert "paddings" in verdicts[0].detail


@pytest.mark.assets
@pytest.mark.parametrize("name", sorted(installed_methods()))
def test_every_registered_method_keeps_the_contract(name):
    failed = [
        f"{verdict.behaviour}: {verdict.detail}" for verdict in check_method(name, scale=SMALL) if not verdict.passed
    ]
    assert failed == []

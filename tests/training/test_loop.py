import copy
import json

import pytest
import torch
from torch import nn

from gainbench.errors import DivergedError, TrainingError
from gainbench.methods import Batch, Phase
from gainbench.training import train
from gainbench.training.log import read_log

CPU = torch.device("cpu")


def run(method, batches, folder, **options):
    settings = {"iterations": 8, "seed": 3, "folder": folder, "device": CPU, "log_every": 1} | options
    return train(method, batches, **settings)


def test_the_loop_equals_a_literal_two_optimiser_gan_step(build, batches, tmp_path):
    method, reference = build(), build()
    run(method, batches, tmp_path, iterations=4)
    g = torch.optim.Adam(reference.generator.parameters(), lr=1e-2)
    d = torch.optim.Adam(reference.discriminator.parameters(), lr=1e-3)
    torch.manual_seed(3)
    reference.train()
    reference.to(memory_format=torch.channels_last)  # dropout draws in memory order
    for step, (image, known) in enumerate(batches(0, 4)):
        batch = Batch(image.to(memory_format=torch.channels_last), known)
        prediction = reference.predict(batch)
        if step >= 1:  # the discriminator's window opens at a quarter of four iterations
            d.zero_grad()
            reference.discriminate(batch, step)["hinge"].backward()
            d.step()
        reference.discriminator.requires_grad_(False)
        g.zero_grad()
        ((prediction - image).abs().mean() - 0.01 * reference.discriminator(prediction).mean()).backward()
        g.step()
        reference.discriminator.requires_grad_(True)
    for name, tensor in reference.state_dict().items():
        torch.testing.assert_close(method.state_dict()[name], tensor, rtol=1e-5, atol=1e-6)


def test_a_phase_leaves_the_modules_of_other_phases_alone(build, batches, tmp_path):
    method = build()
    before = copy.deepcopy(method.discriminator.state_dict())
    run(method, batches, tmp_path, iterations=2)  # a quarter of 2 rounds to 0: active from the start
    moved = any(not torch.equal(before[name], value) for name, value in method.discriminator.state_dict().items())
    assert moved
    frozen = build()
    frozen.phases = lambda: [Phase("generator", [frozen.generator], frozen.generate, lr=1e-2)]
    run(frozen, batches, tmp_path / "other", iterations=2)
    assert all(torch.equal(before[name], value) for name, value in frozen.discriminator.state_dict().items())


class InterruptedTrainingError(Exception):
    pass


@pytest.mark.parametrize(("stop_after", "schedule"), [(1, "constant"), (3, "linear"), (6, "linear")])
def test_an_interrupted_training_ends_with_the_same_bits(build, batches, tmp_path, stop_after, schedule):
    whole = build()
    run(whole, batches, tmp_path / "whole", schedule=schedule)

    def stop(done, iterations, losses):
        if done == stop_after:
            raise InterruptedTrainingError

    broken = build()
    with pytest.raises(InterruptedTrainingError):
        run(broken, batches, tmp_path / "broken", checkpoint_seconds=0, progress=stop, schedule=schedule)
    resumed = build()
    torch.manual_seed(99)  # whatever state the new process starts with
    run(resumed, batches, tmp_path / "broken", schedule=schedule)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name

    def losses(folder):
        return [{k: v for k, v in record.items() if k != "seconds"} for record in read_log(folder / "training.jsonl")]

    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")


def test_a_loss_that_is_not_finite_stops_the_training_and_says_where(build, batches, tmp_path):
    method = build()

    def poisoned(batch, step):
        return {"l1": method.predict(batch).mean() * (float("nan") if step == 2 else 1.0)}

    method.phases = lambda: [Phase("generator", [method.generator], poisoned, lr=1e-3)]
    with pytest.raises(DivergedError, match=r"'generator'.*step 2.*nan"):
        run(method, batches, tmp_path)
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


def test_large_gradients_are_scaled_to_the_clipping_norm(build, batches, tmp_path):
    method = build()
    seen = []
    method.phases = lambda: [
        Phase("generator", [method.generator], lambda b, s: {"l1": 1e6 * method.predict(b).abs().mean()}, lr=1e-3)
    ]
    original = torch.optim.Adam.step

    def spy(self, *arguments, **options):
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        seen.append(torch.linalg.vector_norm(torch.stack([grad.norm() for grad in grads])).item())
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", spy)
        run(method, batches, tmp_path, iterations=1)
    assert seen[0] == pytest.approx(1000.0, rel=1e-3)


@pytest.mark.parametrize(
    ("schedule", "first", "second"),
    [
        ("constant", [1e-3, 1e-3, 1e-3, 1e-3], [2e-3, 2e-3, 2e-3, 2e-3]),
        ("linear", [1e-3, 0.75e-3, 0.5e-3, 0.25e-3], [2e-3, 1.5e-3, 1e-3, 0.5e-3]),
    ],
)
def test_rates_follow_the_schedule_over_each_phase_window(build, batches, tmp_path, schedule, first, second):
    method, rates = build(), []
    method.phases = lambda: [
        Phase("first", [method.generator], method.generate, lr=1e-3, window=(0.0, 0.5)),
        Phase("second", [method.generator], method.generate, lr=2e-3, window=(0.5, 1.0)),
    ]
    original = torch.optim.Adam.step

    def spy(self, *arguments, **options):
        rates.append(self.param_groups[0]["lr"])
        return original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", spy)
        run(method, batches, tmp_path, schedule=schedule)
    assert rates == pytest.approx(first + second)


def test_phases_need_parameters_and_different_names(build, batches, tmp_path):
    method = build()
    method.phases = lambda: [Phase("a", [nn.ReLU()], method.generate, lr=1e-3)]
    with pytest.raises(TrainingError, match="no parameters"):
        run(method, batches, tmp_path)
    method.phases = lambda: [Phase("a", [method.generator], method.generate, lr=1e-3)] * 2
    with pytest.raises(TrainingError, match="same name"):
        run(method, batches, tmp_path)


def test_a_checkpoint_of_other_phases_is_refused(build, batches, tmp_path):
    run(build(), batches, tmp_path, iterations=2)
    renamed = build()
    renamed.phases = lambda: [Phase("renamed", [renamed.generator], renamed.generate, lr=1e-3)]
    with pytest.raises(TrainingError, match=r"phases \['discriminator', 'generator'\].*\['renamed'\].*delete"):
        run(renamed, batches, tmp_path, iterations=4)
    smaller = build()
    first, second = smaller.phases()
    smaller.phases = lambda: [first, Phase("generator", [smaller.generator[0]], smaller.generate, lr=1e-3)]
    assert second.name == "generator"
    with pytest.raises(TrainingError, match=r"parameters of phase 'generator'.*delete"):
        run(smaller, batches, tmp_path, iterations=4)


def test_a_checkpoint_beyond_the_iterations_is_refused(build, batches, tmp_path):
    run(build(), batches, tmp_path, iterations=5)
    with pytest.raises(TrainingError, match="step 5, beyond the 3 iterations"):
        run(build(), batches, tmp_path, iterations=3)
    assert run(build(), batches, tmp_path, iterations=5).iterations == 5


def test_the_summary_has_the_last_records_terms(build, batches, tmp_path):
    method = build()
    method.phases = lambda: [
        Phase("first", [method.generator], method.generate, lr=1e-3, window=(0.0, 0.5)),
        Phase("second", [method.generator], method.generate, lr=1e-3, window=(0.5, 1.0)),
    ]
    summary = run(method, batches, tmp_path)
    record = read_log(tmp_path / "training.jsonl")[-1]
    assert summary.losses == {name: value for name, value in record.items() if name not in {"step", "seconds"}}
    assert {name.split("/")[0] for name in summary.losses} == {"second"}


def test_the_log_has_a_line_per_step_with_every_term(build, batches, tmp_path):
    summary = run(build(), batches, tmp_path)
    records = read_log(tmp_path / "training.jsonl")
    assert [record["step"] for record in records] == list(range(1, 9))
    assert "discriminator/hinge" not in records[0]
    assert "discriminator/hinge" in records[2]
    assert summary.losses["generator/l1"] == records[-1]["generator/l1"]


def test_tensorboard_events_hold_the_logged_losses(build, batches, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(build(), batches, tmp_path, tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    written = [event.value for event in events.Scalars("generator/l1")]
    assert written == pytest.approx([r["generator/l1"] for r in read_log(tmp_path / "training.jsonl")], rel=1e-6)


def test_a_log_line_cut_short_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "training.jsonl"
    path.write_text(json.dumps({"step": 1}) + "\n" + '{"step": 2, "gen')
    assert read_log(path) == [{"step": 1}]


@pytest.mark.parametrize("channels", [54, 106])
def test_gradients_of_dilated_convolutions_in_bfloat16_are_those_of_float32(build, tmp_path, channels):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(4, 3, 32, 32, generator=generator)
    known = (torch.rand(4, 1, 32, 32, generator=generator) > 0.3).float()
    found = {}
    for precision in ("fp32", "bf16"):
        method = build()
        torch.manual_seed(1)
        method.deep = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.Conv2d(channels, channels, 3, padding=4, dilation=4),
            nn.Conv2d(channels, 3, 1),
        )
        gradients = []
        for layer in (1, 2):
            method.deep[layer].weight.register_hook(lambda gradient, kept=gradients: kept.append(gradient.clone()))

        def loss(batch, step, deep=method.deep):
            return {"l2": (deep(batch.visible).float() - batch.image).square().mean()}

        method.phases = lambda deep=method.deep, loss=loss: [Phase("deep", [deep], loss, lr=1e-4)]
        source = lambda start, stop: ((image, known) for _ in range(start, stop))  # noqa: E731 - one line says it
        run(method, source, tmp_path / precision, iterations=1, precision=precision)
        found[precision] = gradients
    assert len(found["fp32"]) == 2
    for exact, rounded in zip(found["fp32"], found["bf16"], strict=True):
        assert (rounded - exact).norm() < 0.05 * exact.norm()

"""``gainbench check``: does a method keep its contract? The same verdicts for our methods and for anybody's plugin."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gainbench.data import open_dataset
from gainbench.errors import GainbenchError, MethodError
from gainbench.evaluation.tracing import told_masks
from gainbench.masks import open_protocol
from gainbench.methods import Batch, Inpainter, TrainableInpainter, composite
from gainbench.registry import build_method, plugin_methods
from gainbench.spec import MaskSpec, MethodSpec, Scale, scales
from gainbench.training import load_weights, save_weights, train
from gainbench.training.loop import trained_parameters

CPU = torch.device("cpu")
ITERATIONS = 20
PICTURES = 4


@dataclass(frozen=True)
class Verdict:
    """One line of a check.

    Attributes:
        behaviour: what the contract asks.
        passed: whether the method does it.
        detail: what was measured, or what went wrong and where to look.
    """

    behaviour: str
    passed: bool
    detail: str


@dataclass
class _Subject:
    """A method under test, how to build it again, and pictures to test it with."""

    build: Callable[[], Inpainter]
    scale: Scale
    image: Tensor
    known: Tensor
    method: Inpainter = field(init=False)

    def __post_init__(self) -> None:
        self.method = self.build()

    def completed(self, method: Inpainter, image: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        image = self.image * self.known if image is None else image
        known = self.known if known is None else known
        # Seeded as in evaluation: a method may draw torch's numbers and is still the same every time.
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return composite(image, known, method.inpaint(image, known))

    def draws_by_batch(self) -> bool:
        """Whether a larger batch takes more of torch's numbers."""
        states = []
        for size in (1, len(self.image)):
            with torch.inference_mode(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.method.inpaint((self.image * self.known)[:size], self.known[:size])
                states.append(torch.get_rng_state())
        return not torch.equal(*states)

    def batches(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(start, stop):
            yield self.image, self.known


def check_method(method: str | Path, *, plugin: str | Path | None = None, scale: Scale | None = None) -> list[Verdict]:
    """Hold a method to its contract, on a few pictures of ``orl-400`` with holes of ``irregular-v1``.

    The caller's random state and torch's settings are left as they were.

    Args:
        method: ``NAME``, ``NAME[option=value,...]``, or the path of a plugin file, of which every method is checked.
        plugin: the file that holds the method named, if it is not installed.
        scale: default ``tiny`` (64 px).

    Returns:
        One verdict per behaviour, in the order of the contract; of a file with several methods, each behaviour names
        its method. A method that cannot be built has a single verdict.

    Raises:
        GainbenchError: if the pictures to check with cannot be had.
    """
    scale = scale or scales()["tiny"]
    image, known = _pictures(scale)
    with _settings_kept():
        try:
            specs, file = _asked(method, plugin)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is its verdict
            return [_unbuildable(error)]
        found = {spec.label: _verdicts(spec, file, scale, image, known) for spec in specs}
    if len(found) == 1:
        return [verdict for verdicts in found.values() for verdict in verdicts]
    return [
        replace(verdict, behaviour=f"{label}: {verdict.behaviour}")
        for label, verdicts in found.items()
        for verdict in verdicts
    ]


def _asked(method: str | Path, plugin: str | Path | None) -> tuple[list[MethodSpec], Path | None]:
    """The methods to check, and the file that they are in if they are not installed."""
    name = str(method)
    if plugin is None and (isinstance(method, Path) or name.endswith(".py")):
        return [MethodSpec(name=own) for own in plugin_methods(Path(name))], Path(name)
    if ".py[" in name:
        file, _, options = name.partition("[")
        raise MethodError(f"a file has no options, its methods have: give 'NAME[{options}' with --plugin {file}")
    return [MethodSpec.parse(name)], Path(plugin) if plugin is not None else None


@contextmanager
def _settings_kept() -> Iterator[None]:
    """Trainings seed torch and ask for deterministic kernels; neither is the caller's affair."""
    deterministic = torch.backends.cudnn.deterministic
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.backends.cudnn.deterministic = deterministic


def _unbuildable(error: Exception) -> Verdict:
    return Verdict("Builds", passed=False, detail=f"{type(error).__name__}: {error}")


def _verdicts(spec: MethodSpec, plugin: Path | None, scale: Scale, image: Tensor, known: Tensor) -> list[Verdict]:
    try:
        subject = _Subject(lambda: build_method(spec, scale, seed=0, plugin=plugin), scale, image, known)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is its verdict
        return [_unbuildable(error)]
    checks = [_builds, _shapes_and_range, _known_pixels_pass, _hidden_pixels_do_not_matter, _batch_size_does_not_matter]
    checks.append(_same_seed_same_output)
    if type(subject.method).shrinkage is not Inpainter.shrinkage:
        checks.append(_masks_are_masks)
    if isinstance(subject.method, TrainableInpainter):
        checks += [_losses_are_finite, _every_parameter_learns, _weights_survive_the_disk, _resumes, _learns]
    return [_verdict(check, subject) for check in checks]


def _pictures(scale: Scale) -> tuple[Tensor, Tensor]:
    pictures = open_dataset("orl-400").pictures("train", scale.size, limit=PICTURES)
    protocol = open_protocol(MaskSpec())
    image = torch.from_numpy(np.stack([pictures[index] for index in range(PICTURES)])).permute(0, 3, 1, 2) / 255.0
    known = np.stack([protocol.training_known(0, sample, scale.size) for sample in range(PICTURES)])
    return image.contiguous(), torch.from_numpy(known[:, None].astype(np.float32))


def _verdict(check: Callable[[_Subject], str], subject: _Subject) -> Verdict:
    behaviour = (check.__doc__ or check.__name__).rstrip(".")
    try:
        return Verdict(behaviour, passed=True, detail=check(subject))
    except GainbenchError as error:
        return Verdict(behaviour, passed=False, detail=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is its verdict
        return Verdict(behaviour, passed=False, detail=f"{type(error).__name__}: {error}")


def _builds(subject: _Subject) -> str:
    """Builds."""
    method = subject.method
    if not isinstance(method, TrainableInpainter):
        return f"{type(method).__name__}, revision {method.revision}, no training"
    count = sum(parameter.numel() for parameter in method.parameters())
    return f"{type(method).__name__}, revision {method.revision}, {count:,} parameters"


def _shapes_and_range(subject: _Subject) -> str:
    """Output has the picture's shape, is finite and lies in [0, 1]."""
    with torch.inference_mode():
        prediction = subject.method.inpaint(subject.image * subject.known, subject.known)
    if prediction.shape != subject.image.shape:
        raise MethodError(f"inpaint returned {tuple(prediction.shape)}, expected {tuple(subject.image.shape)}")
    if not torch.isfinite(prediction).all():
        raise MethodError("inpaint returned values that are not finite")
    low, high = float(prediction.min()), float(prediction.max())
    if low < 0 or high > 1:
        raise MethodError(f"inpaint returned values in [{low:.3g}, {high:.3g}], expected [0, 1]; clamp or rescale")
    return f"range [{low:.3f}, {high:.3f}]"


def _known_pixels_pass(subject: _Subject) -> str:
    """Known pixels pass unchanged, and a picture without a hole comes back as it was."""
    completed = subject.completed(subject.method)
    if not torch.equal(completed * subject.known, subject.image * subject.known):
        raise MethodError("a known pixel changed")
    whole = subject.completed(subject.method, subject.image, torch.ones_like(subject.known))
    if not torch.equal(whole, subject.image):
        raise MethodError("a picture without a hole changed")
    return f"{float(subject.known.mean()):.0%} of the pixels known"


def _hidden_pixels_do_not_matter(subject: _Subject) -> str:
    """Hidden pixels set to noise change no output bit."""
    if subject.method.oracle:
        return "an oracle is given hidden pixels on purpose; tables say so"
    noise = torch.rand(subject.image.shape, generator=torch.Generator().manual_seed(1))
    noisy = torch.where(subject.known > 0.5, subject.image, noise)
    expected, found = subject.completed(subject.method), subject.completed(subject.method, noisy)
    hole = (subject.known < 0.5).expand_as(found)
    changed = int((expected != found)[hole].sum())
    if changed:
        raise MethodError(f"{changed} output values in holes depend on hidden pixels; build inputs from image * known")
    return "identical"


def _batch_size_does_not_matter(subject: _Subject) -> str:
    """A picture's output does not depend on the others in its batch."""
    together = subject.completed(subject.method)
    alone = torch.cat(
        [
            subject.completed(subject.method, (subject.image * subject.known)[i : i + 1], subject.known[i : i + 1])
            for i in range(len(subject.image))
        ]
    )
    difference = float((together - alone).abs().max())
    # Convolutions of another batch size may add in another order; half of one 8-bit level is the bound.
    if difference > 0.5 / 255:
        drawn = (
            "; inpaint draws random numbers for a whole batch, so that a fill depends on the picture's place in it: "
            "draw the same for every picture, or none"
        )
        raise MethodError(
            f"outputs differ by up to {difference * 255:.2f} of 255 between batch sizes 4 and 1"
            f"{drawn if subject.draws_by_batch() else ''}"
        )
    return f"largest difference {difference:.1e}"


def _same_seed_same_output(subject: _Subject) -> str:
    """The same seed gives the same method and the same output."""
    if not torch.equal(subject.completed(subject.build()), subject.completed(subject.build())):
        raise MethodError("two methods built with one seed give different outputs; draw no numbers outside torch")
    return "identical"


def _masks_are_masks(subject: _Subject) -> str:
    """The masks that it tells are 0 and 1, and no hidden pixel changes one."""
    with torch.inference_mode():
        told = told_masks(subject.method, subject.image * subject.known, subject.known)
        noise = torch.rand(subject.image.shape, generator=torch.Generator().manual_seed(1))
        noisy = torch.where(subject.known > 0.5, subject.image, noise)
        other = told_masks(subject.method, noisy, subject.known)
    differing = [step for step in told if step not in other or not np.array_equal(told[step], other[step])]
    if differing and not subject.method.oracle:
        raise MethodError(f"{len(differing)} of {len(told)} masks depend on hidden pixels, first {differing[0]!r}")
    return f"{len(told)} steps"


def _trainable(subject: _Subject) -> TrainableInpainter:
    method = subject.build()
    if not isinstance(method, TrainableInpainter):
        raise MethodError(f"{type(method).__name__} is not a TrainableInpainter")
    return method.train()


def _losses_are_finite(subject: _Subject) -> str:
    """Every phase's losses are finite scalars."""
    method = _trainable(subject)
    seen = []
    for phase in method.phases():
        for name, loss in phase.loss(Batch(subject.image, subject.known), 0).items():
            if loss.dim() != 0 or not torch.isfinite(loss):
                raise MethodError(f"{phase.name}/{name} is {loss.detach()}, expected one finite number")
            seen.append(f"{phase.name}/{name} {float(loss.detach()):.3g}")
    return ", ".join(seen)


def _every_parameter_learns(subject: _Subject) -> str:
    """Every parameter belongs to a phase and gets a gradient."""
    method = _trainable(subject)
    names = {id(parameter): name for name, parameter in method.named_parameters() if parameter.requires_grad}
    learning: set[int] = set()
    for phase in method.phases():
        parameters = trained_parameters(phase)
        loss = torch.stack(list(phase.loss(Batch(subject.image, subject.known), 0).values())).sum()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        # A bias may get an exact zero at first: a hinge discriminator's last one does, real and fake cancel inside the
        # margin. A weight that gets one is dead.
        learning |= {
            id(parameter)
            for parameter, gradient in zip(parameters, gradients, strict=True)
            if gradient is not None and (parameter.dim() <= 1 or bool(gradient.abs().sum() > 0))
        }
    idle = sorted(name for key, name in names.items() if key not in learning)
    if idle:
        raise MethodError(
            f"{len(idle)} of {len(names)} parameters get no gradient from any phase: {', '.join(idle[:5])}"
        )
    return f"{len(names)} tensors"


def _weights_survive_the_disk(subject: _Subject) -> str:
    """Saved weights, loaded into a new method, give the same output."""
    method = _trainable(subject).eval()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.001)  # so that freshly drawn weights would be noticed
    expected = subject.completed(method)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(method, Path(folder) / "weights.safetensors")
        loaded = _trainable(subject).eval()
        load_weights(loaded, Path(folder) / "weights.safetensors")
        size = (Path(folder) / "weights.safetensors").stat().st_size
    if not torch.equal(expected, subject.completed(loaded)):
        raise MethodError("outputs differ after saving and loading; keep all state in parameters and buffers")
    return f"{size / 2**20:.1f} MB"


class _StopError(Exception):
    pass


def _train(subject: _Subject, folder: Path, iterations: int, stop_after: int | None = None) -> TrainableInpainter:
    method = _trainable(subject)

    def progress(done: int, _total: int, _losses: dict[str, float]) -> None:
        if done == stop_after:
            raise _StopError

    options: dict[str, Any] = {"iterations": iterations, "seed": 0, "folder": folder, "device": CPU}
    train(method, subject.batches, **options, checkpoint_seconds=0.0 if stop_after else 1e9, progress=progress)
    return method


def _resumes(subject: _Subject) -> str:
    """A training that is interrupted and resumed ends with the same bits."""
    with tempfile.TemporaryDirectory() as folder:
        whole = _train(subject, Path(folder) / "whole", 4)
        try:
            _train(subject, Path(folder) / "broken", 4, stop_after=2)
        except _StopError:
            resumed = _train(subject, Path(folder) / "broken", 4)
    differing = [
        name for name, value in whole.state_dict().items() if not torch.equal(value, resumed.state_dict()[name])
    ]
    if differing:
        raise MethodError(
            f"{len(differing)} tensors differ after resuming, first {differing[0]}; keep no state in Python"
        )
    return "stopped after 2 of 4 iterations"


def _learns(subject: _Subject) -> str:
    """Twenty iterations lower the error in the holes."""
    before = _hole_error(subject, subject.method)
    with tempfile.TemporaryDirectory() as folder:
        after = _hole_error(subject, _train(subject, Path(folder), ITERATIONS))
    if not after < before:
        raise MethodError(f"hole l1 went from {before:.4f} to {after:.4f} in {ITERATIONS} iterations")
    return f"hole l1 {before:.4f} to {after:.4f}"


def _hole_error(subject: _Subject, method: Inpainter) -> float:
    hole = (subject.known < 0.5).expand_as(subject.image)
    return float((subject.completed(method) - subject.image).abs()[hole].mean())

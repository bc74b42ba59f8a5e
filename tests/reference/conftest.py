"""A little run of trained and untrained methods, and the reference results that are made of it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gainbench import spec
from gainbench.reference.build import build_reference
from gainbench.run.grid import run_suite
from gainbench.spec import MaskSpec, MethodSpec, Suite

PLUGIN = Path(__file__).parent.parent / "plugins" / "halves.py"


@pytest.fixture(scope="session")
def plugin() -> Path:
    return PLUGIN


@pytest.fixture(scope="session")
def suite() -> Suite:
    return Suite(
        name="little",
        question="Does the reference hold?",
        datasets=("folder",),
        methods=tuple(MethodSpec(name=name) for name in ("sturdy", "delicate", "enormous", "telea")),
        masks=MaskSpec(bins=((0.1, 0.2), (0.3, 0.4))),
        metrics=("l1_mean", "psnr_rgb"),
        scale="tiny",
        iterations=3,
        samples=1,
    )


@pytest.fixture(scope="session")
def world(suite, apart, tmp_path_factory):
    """A context in which the little suite is one that the package has, nothing is fetched, and caches are the test's.

    Not a fixture that lasts for the session: other tests must find the package as it is.
    """
    folder = tmp_path_factory.mktemp("suites")
    shutil.copy(spec.SUITES / "scales.yaml", folder)
    (folder / "little.yaml").write_text(json.dumps(suite.model_dump(mode="json", exclude_defaults=True)))

    @contextmanager
    def entered() -> Iterator[None]:
        with apart(), pytest.MonkeyPatch.context() as patched:
            patched.setattr(spec, "SUITES", folder)
            yield

    return entered


@pytest.fixture(autouse=True)
def in_the_world(world) -> Iterator[None]:
    with world():
        yield


@pytest.fixture(scope="session")
def run(suite, pictures, plugin):
    """Runs the little suite in this process."""

    def run_it(root: Path, **options):
        options = {"executor": "in_process", "plugin": plugin, "suite": suite} | options
        return run_suite(options.pop("suite"), root=root, data_paths={"folder": pictures}, **options)

    return run_it


@pytest.fixture(scope="session")
def finished(world, run, tmp_path_factory) -> Path:
    """A results root: all methods with seed 0, and then one with seed 1."""
    root = tmp_path_factory.mktemp("finished")
    with world():
        run(root, reference="none", precision="bf16")
        run(root, reference="none", precision="bf16", methods=["sturdy"], seeds=[1])
    return root


@pytest.fixture(scope="session")
def reference(world, finished, tmp_path_factory) -> Path:
    """The reference results made of that."""
    out = tmp_path_factory.mktemp("clone") / "reference"
    with world():
        build_reference([finished], out)
    return out

"""What comes from others: no file of theirs runs code, what they release is locked for CI and asked about."""

import ast
import io
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from torch import nn

from gainbench.assets import load_hed_arrays, load_jax_checkpoint
from gainbench.errors import GainbenchError
from gainbench.evaluation.shrinkage import read_shrinkage
from gainbench.run.store import StoredCell
from gainbench.spec import load_suite
from gainbench.training import load_weights
from gainbench.training.checkpoint import load_checkpoint

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements-ci.txt"

UNPICKLER = "gainbench/assets/unpickle.py"
"""The one module that reads a pickle by itself: through an unpickler that admits numpy arrays and nothing else."""

CARRIERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
"""Modules whose readers run what a file tells them to."""


def pickle_readers(source):
    """Calls in a program that could run code out of a file, as ``line: call``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in CARRIERS:
            found.append(f"{node.lineno}: from {node.module} import")
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        owner, _, name = call.rpartition(".")
        if (
            (owner in CARRIERS and name in {"load", "loads", "open", "Unpickler"})
            or name in {"read_pickle", "load_state_dict_from_url", "unsafe_load", "full_load"}
            or (owner == "torch" and name == "load" and given.get("weights_only") != "True")
            or (owner.startswith("torch.") and name == "load" and owner != "torch.jit.unused")
            or (owner in {"np", "numpy"} and name == "load" and given.get("allow_pickle") != "False")
            or (owner == "yaml" and name in {"load", "load_all"})
            or call in {"eval", "exec"}
        ):
            found.append(f"{node.lineno}: {call}")
    return found


def programs():
    folders = ("gainbench", "baselines", "docs", "notebooks", ".ci")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_program_of_ours_reads_a_file_that_could_carry_code():
    assert len(programs()) > 100
    found = {str(path.relative_to(ROOT)): pickle_readers(path.read_text(encoding="utf-8")) for path in programs()}
    assert {name: calls for name, calls in found.items() if calls and name != UNPICKLER} == {}
    (allowed,) = (line for line in (ROOT / UNPICKLER).read_text().splitlines() if ".load()" in line)
    assert "_ArrayUnpickler(opened).load()" in allowed


@pytest.mark.parametrize(
    "source",
    [
        "import pickle; pickle.load(f)",
        "from pickle import loads",
        "import torch; torch.load(p)",
        "import torch; torch.load(p, weights_only=False)",
        "import torch; torch.hub.load('a', 'b')",
        "import torch; torch.jit.load(p)",
        "import numpy as np; np.load(p)",
        "import numpy as np; np.load(p, allow_pickle=True)",
        "import pandas as pd; pd.read_pickle(p)",
        "import yaml; yaml.load(t, Loader=yaml.Loader)",
        "import joblib; joblib.load(p)",
        "eval(text)",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert len(pickle_readers(source)) == 1


class Runs:
    """Pickles to a command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def as_pickle(value):
    return pickle.dumps(value, protocol=2)


def as_torch(value):
    written = io.BytesIO()
    torch.save(value, written)
    return written.getvalue()


def as_numpy(value):
    written = io.BytesIO()
    np.savez(written, allow_pickle=True, features=np.array([value], dtype=object))
    return written.getvalue()


def read_checkpoint(path):
    path.rename(path.with_name("7.pt"))
    load_checkpoint(path.parent, nn.Linear(1, 1))


def read_features(path):
    path.rename(path.with_name("features.npz"))
    StoredCell(spec=None, folder=path.parent, status=None, result=None).features()


READERS = {
    "weights.safetensors": lambda path: load_weights(nn.Linear(1, 1), path),
    "checkpoint.pt": read_checkpoint,
    "features.npz": read_features,
    "shrinkage.npz": read_shrinkage,
    "lpips.ckpt": load_jax_checkpoint,
    "hed.h5": load_hed_arrays,
    "suite.yaml": load_suite,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("form", [as_pickle, as_torch, as_numpy], ids=["pickle", "torch", "numpy"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, reader, form):
    marker, folder = tmp_path / "was-run", tmp_path / "files"
    folder.mkdir()
    path = folder / "foreign.yaml"
    path.write_bytes(form(Runs(marker)))
    with pytest.raises(GainbenchError):
        reader(path)
    assert not marker.exists()


def test_the_same_files_run_their_code_where_pickles_are_trusted(tmp_path):
    pickle.loads(pickle.dumps(Runs(tmp_path / "was-run")))
    assert (tmp_path / "was-run").exists()


def lock():
    return [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]


def test_the_lock_names_one_release_each_and_torch_as_a_range():
    open_ones = [line for line in lock() if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.!+-]*", line)]
    assert [Requirement(line).name for line in open_ones] == ["torch", "torchvision"]
    assert all(">=" in line and "==" not in line for line in open_ones)
    assert lock() == sorted(lock(), key=lambda line: Requirement(line).name)


def test_the_lock_has_every_dependency_at_a_release_that_is_allowed():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(line for extra in ("classical", "slurm", "tensorboard", "dev") for line in extras[extra]),
    ]
    locked = {Requirement(line).name: Requirement(line) for line in lock()}
    for requirement in map(Requirement, wanted):
        name = requirement.name.lower().replace("_", "-")
        if name in {"gainbench", "torch", "torchvision", "setuptools"}:  # the last installs the others
            continue
        (version,) = (specifier.version for specifier in locked[name].specifier)
        assert requirement.specifier.contains(version), f"{requirement} but locked {version}; make lock"


def audit(*, code, **environment):
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / '.ci')!r}); import audit; {code}"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_an_advisory_service_that_cannot_be_reached_is_said_and_no_failure():
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
    done = audit(code="sys.exit(audit.audit())", NO_PROXY="", no_proxy="", **nowhere)
    assert done.returncode == 0, done.stderr
    assert "audit: the advisory service osv could not be asked (" in done.stdout
    assert "nothing is known" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(("vulnerabilities", "code"), [([], 0), ([{"id": "X-1", "fix_versions": ["2.1"]}], 1)])
def test_a_known_vulnerability_is_named_and_fails_the_audit(vulnerabilities, code):
    report = {"dependencies": [{"name": "a", "version": "2.0", "vulns": vulnerabilities}]}
    done = audit(code=f"sys.exit(audit.told({json.dumps(report)}))")
    assert done.returncode == code
    assert f"audit: 1 releases, {len(vulnerabilities)} known vulnerabilities" in done.stdout
    assert ("a 2.0: X-1, mended in 2.1" in done.stdout) is bool(vulnerabilities)

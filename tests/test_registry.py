from importlib import metadata

import pytest
import torch

from gainbench import registry
from gainbench.errors import MethodError
from gainbench.listings import methods_listing, methods_records
from gainbench.registry import (
    build_method,
    find_method,
    installed_methods,
    plugin_hash,
    plugin_methods,
    validated_params,
)
from gainbench.spec import MethodSpec, Scale

SCALE = Scale(name="test", size=32, base=4, batch=2, iterations=1, test_pictures=1)
PLUGIN = """
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from gainbench import Inpainter, TrainableInpainter


class Gray(Inpainter):
    name = "gray"

    class Params(BaseModel):
        model_config = ConfigDict(extra="forbid")
        level: float = Field(default=0.5, ge=0, le=1)

    def inpaint(self, image, known):
        return torch.full_like(image, self.params.level)


class Linear(TrainableInpainter):
    name = "linear"

    def __init__(self, params, scale):
        super().__init__(params, scale)
        self.layer = nn.Conv2d(4, 3, 1)
"""


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "my method.py"
    path.write_text(PLUGIN)
    return path


def test_a_plugin_file_gives_its_methods(plugin):
    assert sorted(plugin_methods(plugin)) == ["gray", "linear"]
    assert build_method(MethodSpec(name="gray", params={"level": 0.25}), SCALE, plugin=plugin).params.level == 0.25


def test_weights_depend_on_the_seed_and_leave_the_global_state_alone(plugin):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (
        build_method(MethodSpec(name="linear"), SCALE, seed=seed, plugin=plugin).layer.weight for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_unknown_method_names_the_nearest(plugin):
    with pytest.raises(MethodError, match="did you mean 'gray'"):
        find_method("grey", plugin)


def test_wrong_options_say_what_is_valid(plugin):
    with pytest.raises(MethodError, match=r"unknown key 'levle'; did you mean 'level'\?"):
        build_method(MethodSpec(name="gray", params={"levle": 1}), SCALE, plugin=plugin)
    with pytest.raises(MethodError, match=r"level: Input should be less than or equal to 1 \(found 2\)"):
        build_method(MethodSpec(name="gray", params={"level": 2}), SCALE, plugin=plugin)


def test_a_constructor_that_raises_is_the_methods_fault(tmp_path):
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN.replace("nn.Conv2d(4, 3, 1)", "nn.Conv2d(4, 3, kernel=1)"))
    with pytest.raises(MethodError, match="method linear cannot be built: TypeError"):
        build_method(MethodSpec(name="linear"), SCALE, plugin=path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module_anywhere\n", "fails to import: ModuleNotFoundError"),
        ("x = 1\n", "defines no subclass"),
        ("def broken(:\n", "fails to import: SyntaxError"),
        ("raise SystemError('at import')\n", "fails to import: SystemError: at import"),
    ],
)
def test_a_broken_plugin_says_why(tmp_path, source, message):
    path = tmp_path / "broken.py"
    path.write_text(source)
    with pytest.raises(MethodError, match=message):
        plugin_methods(path)


TWINS = """
from abc import ABC, abstractmethod

from gainbench import Inpainter
from gainbench_baselines.classical import Telea


class A(Inpainter):
    name = "mine"


class B(Inpainter):
    name = "mine"


class Other(Inpainter):
    name = "other"
"""
ABSTRACT = """    name = 'mine'

    @abstractmethod
    def fill(self): ...


class A(Base):
    fill = print
"""


def test_two_classes_of_one_name_are_told_and_neither_is_taken(tmp_path):
    path = tmp_path / "twin.py"
    path.write_text(TWINS)
    entries = plugin_methods(path)
    assert {name: entry.method is not None for name, entry in entries.items()} == {"mine": False, "other": True}
    with pytest.raises(
        MethodError, match=r"twin\.py .*classes A and B are both named 'mine'; give each a name of its own"
    ):
        find_method("mine", path)
    path.write_text(f"{TWINS}\n\nclass C(A):\n    pass\n")
    with pytest.raises(MethodError, match="classes A, B and C are all named 'mine'"):
        find_method("mine", path)


@pytest.mark.parametrize(
    "source",
    [
        "class A(Telea):\n    name = 'telea'\n",
        "class A(Inpainter):\n    name = 'mine'\n\n\nAgain = A\n",
        f"class Base(Inpainter, ABC):\n{ABSTRACT}",
        f"class Base(Inpainter):\n{ABSTRACT}",
    ],
    ids=["a subclass of one that is imported", "two words for one class", "an abstract base", "abstract without ABC"],
)
def test_a_class_that_is_no_second_method_does_not_count_as_one(tmp_path, source):
    path = tmp_path / "mine.py"
    path.write_text(f"{TWINS.partition('class A')[0]}{source}")
    (entry,) = plugin_methods(path).values()
    assert entry.method is not None, entry.problem
    assert entry.method.__name__ == "A"


ODD = {
    "    revision = '1.1'": "its revision is '1.1', expected a whole number",
    "    revision = True": "its revision is True, expected a whole number",
    "    revision = None": "its revision is None, expected a whole number",
    "    Params = Options": "its Params is <class '.*Options'>, expected a subclass of pydantic.BaseModel",
    "    Params = Options()": "its Params is Options.*, expected a subclass of pydantic.BaseModel",
    "    Params = None": "its Params is None, expected a subclass of pydantic.BaseModel",
}


@pytest.mark.parametrize("line", ODD)
def test_a_method_with_odd_attributes_is_broken_and_the_others_of_its_file_are_not(tmp_path, line):
    path = tmp_path / "odd.py"
    path.write_text(
        "from dataclasses import dataclass\n\nfrom gainbench import Inpainter\n\n\n@dataclass\nclass Options:\n"
        "    level: float = 0.5\n\n\nclass Whole(Inpainter):\n    name = 'whole'\n\n\n"
        f"class Odd(Inpainter):\n    name = 'odd'\n{line}\n"
    )
    entries = plugin_methods(path)
    assert entries["whole"].method is not None
    assert [row[0] for row in methods_listing(entries.values()).rows] == ["whole", "odd"]
    assert [record["broken"] is None for record in methods_records(entries.values())] == [True, False]
    with pytest.raises(MethodError, match=f"method 'odd' of .*odd.py is broken: {ODD[line]}"):
        find_method("odd", path)


def test_options_that_raise_are_the_methods_fault(tmp_path):
    path = tmp_path / "plugin.py"
    validator = "        @field_validator('level')\n        @classmethod\n        def _check(cls, level):\n"
    path.write_text(
        PLUGIN.replace("ConfigDict, Field", "ConfigDict, Field, field_validator").replace(
            "le=1)\n", f"le=1)\n\n{validator}            raise RuntimeError('no level today')\n", 1
        )
    )
    with pytest.raises(MethodError, match=r"method gray\[level=0.25\]: .*RuntimeError: no level today"):
        validated_params(find_method("gray", path), MethodSpec(name="gray", params={"level": 0.25}))


def test_defaults_that_are_made_of_other_options_or_raise_are_listed_as_such(tmp_path):
    path = tmp_path / "plugin.py"
    options = "        {}: float = Field(default_factory={})\n".format
    made = options("twice", "lambda data: 2 * data['level']") + options("never", "lambda: 1 / 0")
    path.write_text(PLUGIN.replace("le=1)\n", f"le=1)\n{made}", 1))
    entries = plugin_methods(path).values()
    assert [row[3].strip() for row in methods_listing(entries).rows if "(" in row[3]] == [
        "twice=(computed)",
        "never=(computed)",
    ]
    assert methods_records(entries)[0]["options"]["never"]["default"] == "(computed)"


def test_a_missing_plugin_says_so(tmp_path):
    with pytest.raises(MethodError, match="no plugin file at"):
        plugin_methods(tmp_path / "absent.py")


def test_the_hash_of_a_plugin_follows_its_source(plugin):
    before = plugin_hash(plugin)
    plugin.write_text(PLUGIN + "\n# changed\n")
    assert plugin_hash(plugin) != before


def test_an_installed_method_that_fails_to_import_is_listed_as_broken_and_the_others_work(monkeypatch):
    good = metadata.EntryPoint("telea", "gainbench_baselines.classical:Telea", registry.GROUP)
    bad = metadata.EntryPoint("bad", "no_such_module_anywhere:Bad", registry.GROUP)
    foreign = metadata.EntryPoint("foreign", "pathlib:Path", registry.GROUP)
    misnamed = metadata.EntryPoint("other", "gainbench_baselines.classical:Telea", registry.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [good, bad, foreign, misnamed])
    entries = installed_methods()
    assert entries["telea"].method is not None
    assert "ModuleNotFoundError" in entries["bad"].problem
    assert "not a subclass" in entries["foreign"].problem
    assert "name = 'telea'" in entries["other"].problem
    with pytest.raises(MethodError, match=r"'bad'.*is broken: ModuleNotFoundError"):
        find_method("bad")


def test_finding_a_method_imports_no_other(monkeypatch, tmp_path):
    (tmp_path / "of_a_stranger.py").write_text("raise SystemError('imported for nothing')\n")
    monkeypatch.syspath_prepend(tmp_path)
    asked = metadata.EntryPoint("telea", "gainbench_baselines.classical:Telea", registry.GROUP)
    other = metadata.EntryPoint("other", "of_a_stranger:Other", registry.GROUP)
    loaded = []
    monkeypatch.setattr(registry, "_loaded", lambda name, *rest: loaded.append(name) or registry.Entry(name, *rest))
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [other, asked])
    assert find_method("telea").name == "telea"
    assert loaded == ["telea"]
    with pytest.raises(MethodError, match="imported for nothing"):
        find_method("other")


def test_every_method_of_this_project_is_installed_and_whole():
    entries = installed_methods()
    assert {"gain", "partial_conv", "telea", "navier_stokes"} <= set(entries)
    assert {entry.name: entry.problem for entry in entries.values() if entry.problem} == {}

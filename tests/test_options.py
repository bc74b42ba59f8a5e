"""What is typed is read as it is meant, or refused with an example."""

import importlib
import os
from pathlib import Path
from typing import get_type_hints

import pytest
from typer.testing import CliRunner

from gainbench.assets import asset_path
from gainbench.assets.cache import file_sha256
from gainbench.assets.catalogue import find_asset
from gainbench.cli import app
from gainbench.errors import AssetError, SpecError
from gainbench.options import at_home, job_count, named_paths, provide, seed_numbers, split_labels


def test_labels_are_split_outside_of_their_options():
    texts = ["gain[guidance=canny,base=16],telea", "partial_conv, mean_fill"]
    assert split_labels(texts) == ["gain[guidance=canny,base=16]", "telea", "partial_conv", "mean_fill"]
    assert split_labels(None) is None


def test_paths_are_split_at_the_first_equals_sign():
    assert named_paths(["folder=/a=b", "places2=/c"]) == {"folder": Path("/a=b"), "places2": Path("/c")}
    assert named_paths(None) == {}


@pytest.mark.parametrize("text", ["folder", "=/a", "folder="])
def test_paths_without_a_name_or_a_path_are_refused(text):
    with pytest.raises(SpecError, match="NAME=PATH"):
        named_paths([text])


def test_home_is_found_after_an_equals_sign_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    told = CliRunner().invoke(app, ["status", "--out=~/nowhere"])
    assert str(tmp_path / "nowhere") in str(told.exception)
    assert at_home([Path("~/a"), Path("b")]) == [tmp_path / "a", Path("b")]
    with pytest.raises(AssetError, match=f"nothing at {tmp_path}/mine"):
        provide(None, Path("~/mine"))


def test_every_path_that_a_verb_takes_may_begin_at_home():
    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    verbs = [verb for group in groups for verb in group.registered_commands if not verb.hidden]
    found = {}
    for verb in verbs:
        for name, hint in get_type_hints(verb.callback, include_extras=True).items():
            if "Path" in str(getattr(hint, "__origin__", "")):
                found[f"{verb.callback.__name__} {name}"] = hint.__metadata__[0].callback
    assert len(found) > 25
    assert [name for name, callback in found.items() if callback is not at_home] == []


def test_seeds_are_whole_numbers():
    assert seed_numbers("0,2, 5") == [0, 2, 5]
    with pytest.raises(SpecError, match="'0,one'"):
        seed_numbers("0,one")


def test_jobs_are_auto_or_a_number_from_one():
    assert [job_count("auto"), job_count("3")] == [None, 3]
    for text in ("0", "-1", "many"):
        with pytest.raises(SpecError, match=f"--jobs '{text}'"):
            job_count(text)


@pytest.fixture
def inception(tmp_path, monkeypatch):
    """A file that is what the catalogue has for FID; the variables are as they were after the test."""
    for variable in ("GAINBENCH_FID_WEIGHTS", "GAINBENCH_ASSETS"):
        monkeypatch.setenv(variable, "before")
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "inception.pth"
    path.write_bytes(b"weights")
    asset = find_asset("inception-fid").model_copy(update={"files": {"net.pth": file_sha256(path)}})
    # The package re-exports a function under the module's name, so the module is asked for as such.
    shown = importlib.import_module("gainbench.assets.catalogue")
    monkeypatch.setattr(shown, "catalogue", lambda: {asset.name: asset})
    return path


def test_the_users_own_weights_are_told_to_every_cell(tmp_path, inception):
    provide(inception, None)
    assert os.environ["GAINBENCH_FID_WEIGHTS"] == str(inception)
    assert os.environ["GAINBENCH_ASSETS"] == "before"
    with pytest.raises(AssetError, match="nothing at"):
        provide(None, tmp_path / "elsewhere")


def test_weights_that_are_others_are_refused_before_anything_is_trained(tmp_path, inception):
    inception.write_bytes(b"of another network")
    with pytest.raises(
        AssetError, match=r"--fid-weights .*inception\.pth holds is refused: .* has sha256 \w+, expected \w+"
    ):
        provide(inception, None)
    assert os.environ["GAINBENCH_FID_WEIGHTS"] == "before"
    with pytest.raises(AssetError, match=r"--fid-weights .*no file"):
        provide(tmp_path, None)


def test_a_wrong_file_is_refused_though_the_cache_has_the_right_one(tmp_path, inception, monkeypatch):
    monkeypatch.setenv("GAINBENCH_FID_WEIGHTS", str(inception))
    monkeypatch.delenv("GAINBENCH_ASSETS")
    assert asset_path("inception-fid", fetch=False).read_bytes() == b"weights"
    (tmp_path / "other.pth").write_bytes(b"of another network")
    with pytest.raises(AssetError, match=r"other\.pth holds is refused"):
        provide(tmp_path / "other.pth", None)

"""What is typed is read as it is meant, or refused with an example."""

import os
from pathlib import Path

import pytest

from gainbench.errors import AssetError, SpecError
from gainbench.options import job_count, named_paths, provide, seed_numbers, split_labels


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


def test_seeds_are_whole_numbers():
    assert seed_numbers("0,2, 5") == [0, 2, 5]
    with pytest.raises(SpecError, match="'0,one'"):
        seed_numbers("0,one")


def test_jobs_are_auto_or_a_number_from_one():
    assert [job_count("auto"), job_count("3")] == [None, 3]
    for text in ("0", "-1", "many"):
        with pytest.raises(SpecError, match=f"--jobs '{text}'"):
            job_count(text)


def test_the_users_own_weights_are_told_to_every_cell(tmp_path, monkeypatch):
    for variable in ("GAINBENCH_FID_WEIGHTS", "GAINBENCH_ASSETS"):
        monkeypatch.setenv(variable, "before")
    (tmp_path / "inception.pth").touch()
    provide(tmp_path / "inception.pth", None)
    assert os.environ["GAINBENCH_FID_WEIGHTS"] == str(tmp_path / "inception.pth")
    assert os.environ["GAINBENCH_ASSETS"] == "before"
    with pytest.raises(AssetError, match="nothing at"):
        provide(None, tmp_path / "elsewhere")

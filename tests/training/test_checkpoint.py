import os
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from gainbench.errors import TrainingError
from gainbench.training.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights


def test_only_the_newest_checkpoint_is_kept(tmp_path):
    module = nn.Linear(2, 2)
    save_checkpoint(tmp_path, 5, module, {"seconds": 1.0})
    save_checkpoint(tmp_path, 10, module, {"seconds": 2.0})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10.pt", "10.safetensors"]
    assert load_checkpoint(tmp_path, module)["seconds"] == 2.0


def test_a_folder_that_is_no_part_of_a_checkpoint_is_left_alone(tmp_path):
    (tmp_path / ".ipynb_checkpoints").mkdir()
    save_checkpoint(tmp_path, 5, nn.Linear(2, 2), {"seconds": 1.0})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ipynb_checkpoints", "5.pt", "5.safetensors"]


@pytest.mark.parametrize("content", [b"rotten", None])
def test_a_checkpoint_without_whole_weights_is_told_with_the_folder_to_delete(tmp_path, content):
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, 5, nn.Linear(2, 2), {"seconds": 1.0})
    weights = folder / "5.safetensors"
    weights.unlink() if content is None else weights.write_bytes(content)
    with pytest.raises(TrainingError, match=f"5.safetensors.*; delete {re.escape(str(folder))} to train anew"):
        load_checkpoint(folder, nn.Linear(2, 2))


def test_nobody_is_told_to_remove_weights_of_their_own(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"rotten")
    with pytest.raises(TrainingError, match="not a readable safetensors file") as refused:
        load_weights(nn.Linear(2, 2), tmp_path / "mine.safetensors")
    assert "delete it" not in str(refused.value)


def test_weights_without_their_state_file_are_no_checkpoint(tmp_path):
    module = nn.Linear(2, 2)
    save_checkpoint(tmp_path, 5, module, {"seconds": 1.0})
    with torch.no_grad():
        kept = module.weight.clone()
        module.weight.zero_()
    save_weights(module, tmp_path / "10.safetensors")  # killed before 10.pt
    assert load_checkpoint(tmp_path, module)["step"] == 5
    assert torch.equal(module.weight, kept)


def test_no_checkpoint_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "absent", nn.Linear(1, 1)) is None


def test_weights_of_another_network_are_refused_with_what_differs(tmp_path):
    save_weights(nn.Linear(2, 2), tmp_path / "w.safetensors")
    with pytest.raises(TrainingError, match=r"weight is \(2, 2\), expected \(3, 2\)"):
        load_weights(nn.Linear(2, 3), tmp_path / "w.safetensors")
    with pytest.raises(TrainingError, match=r"1 tensors missing \['bias'\]|1 foreign \['bias'\]"):
        load_weights(nn.Linear(2, 2, bias=False), tmp_path / "w.safetensors")


def test_truncated_weights_are_refused(tmp_path):
    save_weights(nn.Linear(20, 20), tmp_path / "w.safetensors")
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingError, match="not a readable safetensors"):
        load_weights(nn.Linear(20, 20), tmp_path / "w.safetensors")


def test_half_precision_is_widened_exactly_and_other_types_are_refused(tmp_path):
    module = nn.Linear(3, 2)
    save_weights(nn.Linear(3, 2).half(), tmp_path / "half.safetensors")
    load_weights(module, tmp_path / "half.safetensors")
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, load_file(tmp_path / "half.safetensors")["weight"].to(torch.float32))
    save_weights(nn.Linear(3, 2).bfloat16(), tmp_path / "bfloat.safetensors")
    with pytest.raises(TrainingError, match=r"weight is torch.bfloat16, expected torch.float32"):
        load_weights(module, tmp_path / "bfloat.safetensors")


def test_what_a_file_says_is_left_out_stays_as_it_is_and_nothing_else_may_lack(tmp_path):
    module, state = nn.Linear(3, 2), nn.Linear(3, 2).state_dict()
    bias = module.bias.detach().clone()
    save_file({"weight": state["weight"]}, tmp_path / "w.safetensors", {"left_out": '["bias"]'})
    assert load_weights(module, tmp_path / "w.safetensors") == {"bias"}
    assert torch.equal(module.weight, state["weight"])
    assert torch.equal(module.bias, bias)
    garbled = ("not JSON", "5", '"bias"', '{"bias": 1}', "[5]", "[" * 100_000)
    for said in ('["other"]', *garbled):
        save_file({"weight": state["weight"]}, tmp_path / "w.safetensors", {"left_out": said})
        found = r"'left_out' of its metadata is .*, expected a JSON list" if said in garbled else r"missing \['bias'\]"
        with pytest.raises(TrainingError, match=found):
            load_weights(module, tmp_path / "w.safetensors")


class Payload:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_checkpoint_that_holds_code_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_weights(nn.Linear(1, 1), tmp_path / "1.safetensors")
    torch.save({"step": 1, "seconds": Payload()}, tmp_path / "1.pt")
    with pytest.raises(TrainingError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path, nn.Linear(1, 1))
    assert not (tmp_path / "pwned").exists()

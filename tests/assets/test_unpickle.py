import io
import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gainbench.assets import asset_path, load_hed_arrays, load_jax_checkpoint
from gainbench.errors import AssetError


class Runs:
    """Pickles to a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.recipe = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.recipe


def written(path: Path, value: Any, protocol: int = 3) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL))
def test_a_tree_of_arrays_comes_back_bit_for_bit(tmp_path: Path, protocol: int) -> None:
    kernel = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    tree = {"Net_0": {"Conv_0": {"kernel": kernel, "bias": np.array([0.5], np.float64)}}}
    # Protocols 0 to 2 write bytes through a call of _codecs.encode, which is not among what is admitted.
    path = written(tmp_path / "w.ckpt", tree, protocol)
    if protocol < 3:
        with pytest.raises(AssetError, match="_codecs"):
            load_jax_checkpoint(path)
        return
    read: Any = load_jax_checkpoint(path)["Net_0"]
    np.testing.assert_array_equal(read["Conv_0"]["kernel"], kernel, strict=True)
    assert read["Conv_0"]["bias"].dtype == np.float64


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numpys_old_and_new_module_names_are_both_read(tmp_path: Path, module: bytes) -> None:
    content = pickle.dumps({"a": np.ones(2, np.float32)}, protocol=3)
    found = b"numpy._core.multiarray" if b"numpy._core.multiarray" in content else b"numpy.core.multiarray"
    path = tmp_path / "w.ckpt"
    path.write_bytes(content.replace(found, module))
    np.testing.assert_array_equal(load_jax_checkpoint(path)["a"], np.ones(2, np.float32), strict=True)


def test_a_pickle_that_would_run_a_command_does_not(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    hostile = pickle.dumps({"a": Runs(os.system, f"touch {marker}")})
    path = tmp_path / "w.ckpt"
    path.write_bytes(hostile)
    with pytest.raises(AssetError, match="only numpy arrays are admitted"):
        load_jax_checkpoint(path)
    assert not marker.exists()
    pickle.loads(hostile)
    assert marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("numpy", "load"),
        ("numpy", "ndarray.tofile"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.core.multiarray", "fromfile"),
    ],
)
def test_nothing_but_what_arrays_are_made_of_may_be_named(tmp_path: Path, module: str, name: str) -> None:
    path = tmp_path / "w.ckpt"
    # Protocol 4's STACK_GLOBAL, which also resolves dotted names.
    path.write_bytes(
        b"\x80\x04" + b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93."
    )
    with pytest.raises(AssetError, match="only numpy arrays are admitted"):
        load_jax_checkpoint(path)


def test_an_array_of_objects_cannot_smuggle_a_call(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    array = np.array([Runs(os.mkdir, str(marker))], dtype=object)
    with pytest.raises(AssetError):
        load_jax_checkpoint(written(tmp_path / "w.ckpt", {"a": array}))
    assert not marker.exists()


def test_an_object_outside_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.ckpt"
    path.write_bytes(b"\x80\x03X\x01\x00\x00\x00aQ.")
    with pytest.raises(AssetError, match="outside the file"):
        load_jax_checkpoint(path)


@pytest.mark.parametrize(
    "value",
    [[np.ones(2)], {1: np.ones(2)}, {"a": "text"}, {"a": np.array([1, 2])}, {"a": np.array([None])}],
    ids=["list", "number as key", "text", "integers", "objects"],
)
def test_what_is_not_a_tree_of_floating_point_arrays_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(AssetError, match="expected"):
        load_jax_checkpoint(written(tmp_path / "w.ckpt", value))


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"a": np.ones(999)})[:-500]])
def test_a_damaged_pickle_is_an_asset_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.ckpt"
    path.write_bytes(content)
    with pytest.raises(AssetError, match="not a pickle of numpy arrays"):
        load_jax_checkpoint(path)


def test_a_missing_file_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="cannot be read"):
        load_jax_checkpoint(tmp_path / "none.ckpt")
    with pytest.raises(AssetError, match="cannot be read"):
        load_hed_arrays(tmp_path / "none.h5")


def test_hdf5_arrays_are_read_by_their_full_names(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    kernel = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    with h5py.File(path, "w") as opened:
        opened["block1/layers/conv2d/vars/0"] = kernel
        opened["fuse/vars/1"] = np.array([0.25], np.float32)
    arrays = load_hed_arrays(path)
    assert list(arrays) == ["block1/layers/conv2d/vars/0", "fuse/vars/1"]
    np.testing.assert_array_equal(arrays["block1/layers/conv2d/vars/0"], kernel, strict=True)


def test_text_is_not_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    path.write_text("not HDF5")
    with pytest.raises(AssetError, match="HDF5"):
        load_hed_arrays(path)


@pytest.mark.assets
@pytest.mark.parametrize(
    ("asset", "network", "widths"),
    [
        ("lpips-alexnet", "AlexNet_0", [64, 192, 384, 256, 256]),
        ("lpips-vgg16", "VGG16_0", [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]),
    ],
)
def test_the_trunks_have_the_published_widths(asset: str, network: str, widths: list[int]) -> None:
    trunk: Any = load_jax_checkpoint(asset_path(asset))[network]
    assert [trunk[f"Conv_{layer}"]["kernel"].shape[3] for layer in range(len(widths))] == widths
    inputs = [3, *widths[:-1]]
    assert [trunk[f"Conv_{layer}"]["kernel"].shape[2] for layer in range(len(widths))] == inputs


@pytest.mark.assets
def test_the_restricted_reader_gives_what_pickle_would() -> None:
    path = asset_path("lpips-alexnet")
    read: Any = load_jax_checkpoint(path)
    plain = pickle.load(io.BytesIO(path.read_bytes()))
    for layer in range(5):
        for part in ("kernel", "bias"):
            np.testing.assert_array_equal(
                read["AlexNet_0"][f"Conv_{layer}"][part], plain["AlexNet_0"][f"Conv_{layer}"][part], strict=True
            )


@pytest.mark.assets
def test_hed_has_vggs_thirteen_convolutions_five_side_outputs_and_a_fusion() -> None:
    arrays = load_hed_arrays(asset_path("hed-bsds500"))
    kernels = {name: array.shape for name, array in arrays.items() if name.endswith("vars/0")}
    assert len([name for name in kernels if name.startswith("block")]) == 13
    assert [kernels[f"dsn{block}/vars/0"] for block in range(1, 6)] == [
        (1, 1, width, 1) for width in (64, 128, 256, 512, 512)
    ]
    assert kernels["fuse/vars/0"] == (1, 1, 5, 1)

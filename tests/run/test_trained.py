"""The method of a cell: found with its plugin file, and asked for in whatever way its options are written."""

import pytest

from gainbench.atomic import write_json
from gainbench.errors import MethodError
from gainbench.registry import build_method, plugin_hash
from gainbench.run.trained import trained_method
from gainbench.spec import CellSpec, MaskSpec, MethodSpec, scales
from gainbench.training import save_weights

TINY = scales()["tiny"]


@pytest.fixture
def cell(tmp_path):
    """Writes the folder of a trained cell, as far as its method is concerned."""

    def written(method, plugin=None):
        spec = MethodSpec.parse(method)
        built = build_method(spec, TINY, 7, plugin)
        described = CellSpec(
            dataset="folder",
            manifest_hash="",
            method=spec,
            revision=built.revision,
            plugin=plugin,
            plugin_hash=plugin_hash(plugin) if plugin is not None else None,
            seed=7,
            scale=TINY,
            masks=MaskSpec(),
            mask_hash="",
            metrics=(),
        )
        folder = tmp_path / "cell"
        folder.mkdir()
        write_json(folder / "spec.json", described.model_dump(mode="json"))
        save_weights(built, folder / "weights.safetensors")
        return folder

    return written


def test_a_default_may_be_written_out(cell):
    folder = cell("gain[base=1]")
    for asked in ("gain", "gain[base=1]", "gain[base=1,delta=0.4]"):
        assert trained_method(asked, folder, None, None).params.base == 1
    for asked in ("gain[base=1,delta=0.2]", "gain[delta=0.4]", "partial_conv"):
        with pytest.raises(MethodError, match=r"holds weights of gain\[base=1\], asked for is "):
            trained_method(asked, folder, None, None)


def test_a_plugin_file_is_not_asked_for_where_the_method_is_installed(cell, plugin):
    with pytest.raises(MethodError, match=r"with the installed method gain: leave --plugin .*\.py out"):
        trained_method(None, cell("gain[base=1]"), None, plugin)


def test_a_plugin_file_that_moved_or_changed_is_pointed_to(cell, plugin, tmp_path):
    before, after = tmp_path / "mine.py", tmp_path / "moved.py"
    before.write_bytes(plugin.read_bytes())
    folder = cell("learning", before)
    before.rename(after)
    with pytest.raises(MethodError, match=r"defines learning, which is not at .*mine\.py: give it with --plugin FILE"):
        trained_method(None, folder, None, None)
    assert trained_method(None, folder, None, after).name == "learning"
    with pytest.raises(MethodError, match=r"which is not at .*gone\.py: give it with --plugin FILE"):
        trained_method(None, folder, None, tmp_path / "gone.py")
    after.write_text(f"{after.read_text()}\n")
    with pytest.raises(MethodError, match=r"moved\.py is not what .*cell was trained with: .* with --plugin FILE"):
        trained_method(None, folder, None, after)

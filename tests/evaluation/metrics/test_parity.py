"""The page of parities is whole, true and current."""

import pytest

from gainbench.assets import asset_path
from gainbench.errors import AssetError
from gainbench.evaluation.metrics.catalogue import METRICS

from .parity import LINES, PAGE, inception, table

ROWS = {
    cells[0].strip("|` "): float(cells[2])
    for cells in (line.split(" | ") for line in PAGE.read_text("utf-8").splitlines())
    if len(cells) == 4 and cells[2][0].isdigit()
}
NETWORKS = {"lpips_alex", "lpips_vgg", "MobileNetV2 features"}


def marked(line):
    marks = [pytest.mark.slow] * line.slow + [pytest.mark.assets] * (line.what in NETWORKS)
    return pytest.param(line, id=line.what, marks=marks)


def test_every_metric_has_a_line():
    assert {line.what for line in LINES} >= METRICS.keys()


def test_the_page_has_the_lines_references_and_tolerances_of_the_code():
    # To renew it: python tests/evaluation/metrics/parity.py
    assert PAGE.read_text("utf-8") == table(ROWS)


@pytest.mark.parametrize("line", [marked(line) for line in LINES])
def test_the_difference_is_within_tolerance_and_what_the_page_says(line):
    found, written = line.difference(), ROWS[line.what]
    assert found <= line.tolerance
    assert written <= line.tolerance
    # Processors differ in the last bits; beyond those, the page must not be better than the code.
    assert found <= max(10 * written, line.tolerance / 10)


@pytest.mark.slow
def test_with_the_published_inception_weights_features_are_pytorch_fids():
    try:
        weights = asset_path("inception-fid")
    except AssetError as error:
        pytest.skip(f"needs the published weights, in GAINBENCH_FID_WEIGHTS or the cache: {error}")
    ours, theirs = inception(weights)
    assert abs(ours - theirs).max() <= 1e-4 * abs(theirs).max()

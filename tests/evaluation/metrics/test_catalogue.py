import subprocess
import sys

import pytest

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.catalogue import METRICS, selected_metrics
from gainbench.spec import load_suite, suite_names


def test_every_metric_of_the_shipped_suites_is_in_the_table():
    for suite in suite_names():
        assert {info.id for info in selected_metrics(load_suite(suite).metrics)} == set(load_suite(suite).metrics)


def test_ids_are_keys_and_every_row_says_what_it_means():
    for metric, info in METRICS.items():
        assert info.id == metric
        assert info.definition
        assert info.reference
        assert info.label
        assert info.direction in {"lower", "higher"}


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(EvaluationError, match="did you mean 'psnr_rgb'"):
        selected_metrics(["l1_mean", "psnr"])


def test_a_metric_asked_for_twice_is_computed_once_and_order_is_kept():
    assert [info.id for info in selected_metrics(["psnr_rgb", "l1_mean", "psnr_rgb"])] == ["psnr_rgb", "l1_mean"]


def test_the_table_is_read_without_torch():
    script = "import sys, gainbench.evaluation.metrics.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

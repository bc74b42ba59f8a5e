"""The table of readings and the options say the same."""

from gainbench.gain.method import GAINParams
from gainbench.gain.readings import READINGS


def test_every_option_is_in_the_table_once():
    named = [param for reading in READINGS for param in reading.params]
    assert sorted(named) == sorted(GAINParams.model_fields)


def test_every_switch_names_an_option():
    for reading in READINGS:
        assert bool(reading.switch) == bool(reading.params)
        for param in reading.params:
            assert f"{param} = " in reading.switch


def test_the_table_prints_as_markdown():
    for reading in READINGS:
        for text in (reading.unknown, reading.default, reading.switch):
            assert "|" not in text
            assert "\n" not in text
            assert text == text.strip()

"""What a person sees: labels as they are written, lines that can be copied, and nothing where quiet was asked for."""

import io
import json

import pytest
from rich.console import Console

from gainbench import console


@pytest.fixture(params=[True, False], ids=["terminal", "file"])
def shown(request, monkeypatch):
    out = Console(file=io.StringIO(), force_terminal=request.param, width=60, markup=False, highlight=False)
    monkeypatch.setattr(console, "out", out)
    return out


@pytest.fixture
def manner():
    yield console.behave
    console.behave()


def test_labels_are_not_taken_for_markup(shown):
    console.show_table(("method",), [("gain[guidance=canny]",), ("[red]",)], title="[bold]")
    text = shown.file.getvalue()
    assert all(label in text for label in ("gain[guidance=canny]", "[red]", "[bold]"))


def test_paths_stay_in_one_piece_and_sentences_break_between_words(shown):
    path = "/a/very/long/path" * 6
    console.show_report([], {"report": path})
    assert path in shown.file.getvalue()
    console.say("word " * 30)
    lines = [line for line in shown.file.getvalue().splitlines() if line.startswith("word")]
    assert len(lines) == (3 if shown.is_terminal else 1)


def test_a_quiet_verb_says_only_what_is_wrong(manner, capsys):
    manner(quiet=True)
    console.say("all is well")
    console.show_table(("a",), [("b",)])
    console.show_report(["marked"], {"report": "somewhere"})
    console.warn("gain: killed")
    console.fail("no such suite")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["gain: killed", "error: no such suite"]


def test_standard_output_is_for_the_program_where_json_is_asked_for(manner, capsys):
    manner(as_json=True)
    console.say("2 cells")
    console.show_report(["table"], {"report": "somewhere"})
    console.tell({"name": "é", "value": None})
    manner()
    said = capsys.readouterr()
    assert json.loads(said.out) == {"name": "é", "value": None}
    assert [line.split() for line in said.err.splitlines()] == [["2", "cells"], ["table"], ["report", "somewhere"]]


def test_what_is_printed_beside_the_json_goes_to_standard_error_until_the_verb_has_ended(manner, capsys):
    manner(as_json=True)
    print("parameters: 1")
    console.tell([])
    print("done")
    manner()
    print("afterwards")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("[]\nafterwards\n", "parameters: 1\ndone\n")


def test_a_value_that_json_has_not_is_refused(capsys):
    with pytest.raises(ValueError, match="JSON"):
        console.tell({"value": float("nan")})
    assert capsys.readouterr().out == ""

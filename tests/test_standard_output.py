"""Standard output for one writer: nothing that anybody else prints gets between its lines, however it is printed."""

import subprocess
import sys

from gainbench.standard_output import standard_output_apart

CODE = """
import os, sys
from gainbench.standard_output import standard_output_apart
print("before")
kept = sys.stdout
with standard_output_apart() as apart:
    print("printed")
    kept.write("written to the old stream\\n")
    os.write(1, b"past Python\\n")
    os.system("echo inherited")
    apart.write("é\\n")
print("after")
"""


def test_a_process_keeps_it_for_one_writer_and_gives_it_back():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.splitlines() == ["before", "é", "after"]
    assert sorted(done.stderr.splitlines()) == ["inherited", "past Python", "printed", "written to the old stream"]


def test_a_stream_that_stands_in_for_it_is_kept_and_given_back(capsys):
    before = sys.stdout
    with standard_output_apart() as apart:
        print("printed")
        apart.write("meant\n")
    assert sys.stdout is before
    assert tuple(capsys.readouterr()) == ("meant\n", "printed\n")

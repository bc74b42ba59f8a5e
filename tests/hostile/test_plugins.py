"""Plugin files of strangers: their methods, or one error that says why there are none."""

import pytest

HOSTILE = {
    "zero bytes": (b"", "defines no subclass"),
    "a null byte": (b"x = 1\0", "fails to import"),
    "no Python": (b"<html>", "SyntaxError"),
    "another encoding": (b"x = '\xff'\n", "SyntaxError"),
    "a script that ends the program": (b"import sys\nsys.exit(0)\n", "SystemExit"),
    "one that raises": (b"raise ValueError('not today')\n", "not today"),
    "endless recursion": (b"def f(): f()\nf()\n", "RecursionError"),
    "brackets": (b"(" * 5000, "fails to import"),
    "no name": (b"import gainbench\nclass A(gainbench.Inpainter):\n    name = 3\n", "defines no subclass"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_plugin_is_one_error(verb, tmp_path, name):
    content, message = HOSTILE[name]
    path = tmp_path / "my plugin.py"
    path.write_bytes(content)
    words = ("plan", "--suite", "smoke", "--plugin", path, "--out", tmp_path / "root")
    verb(*words).refused(path.name, message)
    assert not (tmp_path / "root").exists()


def test_what_is_no_plugin_file_is_told(verb, tmp_path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "text.txt").write_text("x = 1\n")
    (tmp_path / "dangling.py").symlink_to("nothing.py")
    (tmp_path / "itself.py").symlink_to(tmp_path / "itself.py")
    for name in ("folder.py", "dangling.py", "itself.py", "absent.py", f"{'long' * 100}.py"):
        verb("plan", "--suite", "smoke", "--plugin", tmp_path / name).refused()
    verb("plan", "--suite", "smoke", "--plugin", tmp_path / "text.txt").refused("not a Python file")

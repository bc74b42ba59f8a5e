"""Renew what the pages quote from the program: ``<!-- begin: COMMAND -->`` to ``<!-- end -->`` holds its output.

``python docs/renew.py`` writes; with ``--check`` it changes nothing, names the pages that are behind, and exits with 1.
"""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(<!-- begin: (python .*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page that is read by people."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@functools.cache
def output(command: str) -> str:
    """What a ``python ...`` command prints."""
    words = [sys.executable, *shlex.split(command)[1:]]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our pages


def renewed(text: str) -> str:
    """A page with its quotations as the program gives them now."""
    return BLOCK.sub(lambda block: block[1] + output(block[2]) + block[3], text)


def main(*, check: bool) -> int:
    """Renew the pages, or say which are behind."""
    behind = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := renewed(text)) != text:
            behind.append(page)
            if not check:
                page.write_text(new, encoding="utf-8")
    for page in behind:
        sys.stdout.write(f"{page.relative_to(ROOT)}: {'is behind; python docs/renew.py' if check else 'renewed'}\n")
    return int(check and bool(behind))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))

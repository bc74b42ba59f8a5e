"""A campaign of libFuzzer's through atheris: where its inputs lie, how long it runs, what it may use."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris

INPUTS = Path(__file__).parents[2] / "build" / "fuzz"
"""What was found worth keeping, and what failed; outside of the repository's files."""


def run(name: str, judge: Callable[[bytes], None], seeds: Iterable[bytes], words: Iterable[str] = ()) -> None:
    """Feed ``judge``, which raises on a defect, mutated seeds for as many minutes as the command line says (10).

    An input that takes ten seconds or two gigabytes is a defect too. Whatever fails is written to ``build/fuzz/NAME``.
    """
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    folder = INPUTS / name
    kept = folder / "corpus"
    kept.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (kept / f"seed-{number:02d}").write_bytes(seed)
    dictionary = folder / "words.txt"
    dictionary.write_text("".join(f'"{word}"\n' for word in words))
    options = [
        f"-max_total_time={round(minutes * 60)}",
        *("-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"),
        f"-dict={dictionary}",
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(kept)], judge)
    atheris.Fuzz()

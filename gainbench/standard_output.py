"""Standard output for one writer alone: what programs read must not be mixed with what methods print."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def standard_output_apart() -> Iterator[TextIO]:
    """Yield what writes to standard output, while all else that is written there goes to standard error.

    That is what this process prints, what libraries below Python write, and what processes inherit that are started
    meanwhile. The stream that is yielded is not to be used after the block.
    """
    stream = sys.stdout
    with contextlib.ExitStack() as afterwards:
        if _is_of_the_process(stream):
            stream = afterwards.enter_context(_descriptor_apart(stream))
        afterwards.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield stream


@contextlib.contextmanager
def _descriptor_apart(stream: TextIO) -> Iterator[TextIO]:
    stream.flush()
    apart = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(apart), "w", encoding=stream.encoding, errors=stream.errors) as written:
            yield written
    finally:
        # What was printed by whoever had kept the old stream belongs to standard error, too.
        stream.flush()
        os.dup2(apart, 1)
        os.close(apart)


def _is_of_the_process(stream: TextIO) -> bool:
    """Whether this is descriptor 1; a test's or a notebook's stream stands in for it and is none."""
    try:
        return stream.fileno() == 1
    except (OSError, ValueError):
        return False

"""The application that verbs register with, and how it starts and fails.

Exit codes: 0 when all went well; 1 ... 100 the number of cells that are not done, or 1 for a failed check; 2 for an
error that a person can act on; 130 for an interrupted run.
"""

import errno
import logging
import sys
from typing import Annotated

import typer

from gainbench import console
from gainbench.errors import GainbenchError

INTERRUPTED = 130

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""What a disk says that is full, or is not ours: nothing that a traceback would explain."""

app = typer.Typer(
    help="What should guide a network that fills irregular holes: image gradients, binary edges, or nothing?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """The entry point: an error for people is one message and exit code 2."""
    try:
        app()
    except GainbenchError as error:
        console.fail(str(error))
        sys.exit(2)
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        console.fail(f"{error}: make room or give a folder that can be read and written; the same command goes on")
        sys.exit(2)


@app.callback()
def _settings(*, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="say more")] = False) -> None:
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")

"""The application that verbs register with, and how it starts and fails.

Exit codes: 0 when all went well; 1 ... 100 the number of cells that are not done, or 1 for a failed check; 2 for an
error that a person can act on; 130 for an interrupted verb.
"""

import contextlib
import errno
import logging
import shlex
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gainbench import console
from gainbench.errors import GainbenchError
from gainbench.run.signals import signals_interrupt

INTERRUPTED = 130

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
"""What a disk says that is full, broken, or not ours: nothing that a traceback would explain."""

_OF_A_PATH = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}
"""What is said of a path that leads to a file where a folder was wanted, the other way round, or nowhere."""

_OF_PATHLIB = ("Symlink loop from", "Could not determine home directory")
"""How the two errors begin that pathlib raises for a path as RuntimeError."""

ENDED_BY_RUN = "cell"
"""The hidden verb of one cell's process: whoever started it reads from the signal how it ended."""


class Verbs(TyperGroup):
    """The verbs; an interrupted one says so, whatever it was doing, and ends with exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that the context names."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console.fail(f"interrupted; what is finished is kept. To go on: {_again()}")
            raise typer.Exit(INTERRUPTED) from None
        finally:
            console.behave()


app = typer.Typer(
    cls=Verbs,
    help="What should guide a network that fills irregular holes: image gradients, binary edges, or nothing?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """The entry point: an error for people is one message and exit code 2."""
    # However it is asked to end, a verb ends as after Ctrl-C: its processes are ended, its files are whole.
    with contextlib.nullcontext() if ENDED_BY_RUN in sys.argv[1:2] else signals_interrupt():
        _start()


def _start() -> None:
    try:
        app()
    except GainbenchError as error:
        console.fail(str(error))
        sys.exit(2)
    except RuntimeError as error:
        if not str(error).startswith(_OF_PATHLIB):
            raise
        console.fail(f"{error}: give another path")
        sys.exit(2)
    except OSError as error:
        if error.errno not in _OF_THE_DISK | _OF_A_PATH:
            raise
        remedy = (
            "make room or give a folder that can be read and written; the same command goes on"
            if error.errno in _OF_THE_DISK
            else "give the path of a folder where one is wanted, of a file where a file is"
        )
        console.fail(f"{error}: {remedy}")
        sys.exit(2)


def _again() -> str:
    program = "python -m gainbench" if sys.argv[0].endswith("__main__.py") else "gainbench"
    return f"{program} {shlex.join(sys.argv[1:])}"


@app.callback()
def _settings(*, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="say more")] = False) -> None:
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    console.behave()

"""Verbs of one method: check."""

from typing import Annotated

import typer

from gainbench import console
from gainbench.cli.application import app


@app.command()
def check(method: Annotated[str, typer.Argument(help="NAME, NAME[option=value] or a plugin file")]) -> None:
    """Hold a method to its contract; exit code 1 if it breaks it."""
    from gainbench.run.check import check_method

    verdicts = check_method(method)
    console.show_table(
        ("", "behaviour", "found"),
        [("passed" if verdict.passed else "failed", verdict.behaviour, verdict.detail) for verdict in verdicts],
    )
    raise typer.Exit(0 if all(verdict.passed for verdict in verdicts) else 1)

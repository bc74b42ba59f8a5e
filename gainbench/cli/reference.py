"""Verbs of reference results: reference build."""

from pathlib import Path
from typing import Annotated

import typer

from gainbench import console
from gainbench.cli.application import app
from gainbench.options import AssetsOption, FidOption, JsonOption, QuietOption, provide, split_labels

REFERENCE = Path("results/reference")

reference_app = typer.Typer(help="Results that are committed: make them, compare with them.", no_args_is_help=True)
app.add_typer(reference_app, name="reference")


@reference_app.command()
def build(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="results roots of `run`, or suites' folders")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="what is made or renewed")] = REFERENCE,
    work: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="for what is evaluated; default .reference in the first root")
    ] = None,
    rows_only: Annotated[
        list[str] | None, typer.Option(metavar="METHODS", help="separated by commas; their weights are left out")
    ] = None,
    every_digit: Annotated[
        bool, typer.Option("--every-digit", help="half precision only where not one printed digit changes")
    ] = False,
    fid_weights: FidOption = None,
    assets_dir: AssetsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make or renew reference results from the cells of runs that are finished, whatever else is not."""
    console.behave(quiet=quiet, as_json=as_json)
    provide(fid_weights, assets_dir)
    from gainbench.reference.build import build_reference

    built = build_reference(
        runs, out, work=work, rows_only=split_labels(rows_only) or (), every_digit=every_digit, telling=console.say
    )
    console.show_table(
        ("cell", "committed", "MB", "remark"),
        [
            (name, entry.weights_type or "rows", f"{entry.weights_bytes / 1e6:.1f}", entry.remark)
            for name, entry in built.entries.items()
        ],
    )
    for sentence in built.left_out:
        console.warn(f"left out: {sentence}")
    for name in built.unfinished:
        console.say(f"not finished: {name}", "yellow")
    console.say(f"{built.folder}: {len(built.entries)} cells, {built.size / 1e6:.1f} MB", "bold", whole=True)
    if as_json:
        from gainbench.machine import reference_record

        console.tell(reference_record(built))

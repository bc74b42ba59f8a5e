"""Verbs of reference results: reference build, reference check."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gainbench import console
from gainbench.cli.application import app
from gainbench.errors import RunError
from gainbench.options import (
    ROOT,
    AssetsOption,
    FidOption,
    JsonOption,
    PlannedArgument,
    QuietOption,
    ReferenceDirOption,
    RootOption,
    at_home,
    provide,
    split_labels,
)

if TYPE_CHECKING:
    from gainbench.reference.reproduction import Reproduction

REFERENCE = Path("results/reference")

reference_app = typer.Typer(help="Results that are committed: make them, compare with them.", no_args_is_help=True)
app.add_typer(reference_app, name="reference")


@reference_app.command()
def build(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", callback=at_home, help="results roots of `run`, or suites' folders"),
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", callback=at_home, help="what is made or renewed")
    ] = REFERENCE,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", callback=at_home, help="for what is evaluated; default .reference in the first root"
        ),
    ] = None,
    rows_only: Annotated[
        list[str] | None,
        typer.Option(metavar="CELLS", help="as in gain,photos-230,celeba-999/partial_conv; without weights"),
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


@reference_app.command()
def check(
    suite: PlannedArgument = None,
    *,
    reference_dir: ReferenceDirOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    root: RootOption = ROOT,
) -> None:
    """Compare what a run evaluated with the committed numbers, as `run` does at its end; exit code 1 if they differ."""
    console.behave(quiet=quiet, as_json=as_json)
    from gainbench.run.reference import find_reference

    reference = find_reference(reference_dir)
    found = compared_with_reference(root, suite, reference)
    if found is None:
        where = f"in {reference}" if reference else "here"
        raise RunError(f"nothing in {root} was evaluated with weights of reference results {where}: nothing to compare")
    if as_json:
        console.tell(found.record())
    raise typer.Exit(int(not found.holds))


def compared_with_reference(root: Path, suite: str | None, reference: Path | None) -> "Reproduction | None":
    """Make the reproduction check of a suite, show it and write it beside the report; None if there is none to make."""
    from gainbench.reference.reproduction import REPRODUCTION, reproduction
    from gainbench.run.store import read_results

    stored = read_results(root, suite)
    found = reproduction(stored, reference) if reference is not None else None
    if found is None:
        (stored.folder / REPRODUCTION).unlink(missing_ok=True)
        return None
    found.save(stored.folder)
    console.show_table(
        ("metric", "largest difference", "allowed", "of", "method", "holes", "border"),
        [
            (
                metric,
                f"{one.difference:.2g}",
                f"{one.allowed:.2g}",
                f"{one.committed:.6g}",
                f"{one.place.dataset} {one.method}",
                one.place.bin,
                one.place.border,
            )
            for metric, one in found.worst.items()
        ],
        title="reproduction: the committed numbers and those of this machine",
    )
    if found.holds:
        console.say(found.sentence(), "green", whole=True)
    else:
        console.warn(found.sentence())
    return found

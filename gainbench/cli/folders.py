"""Verbs of pictures that any tool made: evaluate."""

from pathlib import Path
from typing import Annotated

import typer

from gainbench import completion, console
from gainbench.cli.application import app
from gainbench.options import (
    AssetsOption,
    FidOption,
    JsonOption,
    QuietOption,
    at_home,
    method_folders,
    provide,
    split_names,
)


@app.command()
def evaluate(
    *,
    pred: Annotated[
        list[str], typer.Option(metavar="FOLDER|NAME=FOLDER", help="completed pictures; several are compared")
    ],
    target: Annotated[Path, typer.Option(metavar="FOLDER", callback=at_home, help="the originals, paired by name")],
    mask: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", callback=at_home, help="the holes, white = hole; without, whole pictures only"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", callback=at_home, help="gets rows.parquet and tables")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(autocompletion=completion.metrics, help="separated by commas; default those of the paper suite"),
    ] = None,
    photographs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", callback=at_home, help="CSV of name, photograph: crops of one photograph go together"
        ),
    ] = None,
    invert_masks: Annotated[
        bool | None, typer.Option("--invert-masks/--no-invert-masks", help="black is the hole / white is, even if most")
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="score what every folder has, list the rest")] = False,
    batch: Annotated[int, typer.Option(min=1, help="pictures at a time; no number depends on it")] = 16,
    fid_weights: FidOption = None,
    assets_dir: AssetsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score pictures that any tool completed: the suites' metrics, hole sizes, intervals and comparisons."""
    console.behave(quiet=quiet, as_json=as_json)
    folders = method_folders(pred)
    provide(fid_weights, assets_dir)
    from gainbench.report.folders import evaluate as score
    from gainbench.report.terminal import terminal_tables

    with console.Counter("pictures") as counter:
        report = score(
            folders,
            target,
            mask,
            out=out,
            metrics=split_names(metrics),
            photographs=photographs,
            invert_masks=invert_masks,
            partial=partial,
            batch=batch,
            progress=counter.update,
        )
    console.show_tables(terminal_tables(report.tables[:1]))
    for one in report.unpaired:
        console.warn(f"left out: {one.name}: {one.reason}")
    if out is not None:
        console.say(f"written: {out} ({len(report.files)} files)", "bold", whole=True)
    if as_json:
        from gainbench.machine import scores_record

        console.tell(scores_record(report))

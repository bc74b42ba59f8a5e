"""Verbs of one method: check, new-method, explain, inpaint."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gainbench import completion, console
from gainbench.cli.application import app
from gainbench.options import Arithmetic, ArithmeticOption, JsonOption, PluginOption, QuietOption, at_home


@app.command()
def check(
    method: Annotated[
        str, typer.Argument(autocompletion=completion.one_method, help="NAME, NAME[option=value] or a plugin file")
    ],
    *,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Hold a method to its contract; exit code 1 if it breaks it."""
    console.behave(quiet=quiet, as_json=as_json)
    from gainbench.run.check import check_method

    verdicts = check_method(method, plugin=plugin)
    console.show_table(
        ("", "behaviour", "found"),
        [("passed" if verdict.passed else "failed", verdict.behaviour, verdict.detail) for verdict in verdicts],
    )
    if quiet:
        for verdict in verdicts:
            if not verdict.passed:
                console.warn(f"failed: {verdict.behaviour}: {verdict.detail}")
    if as_json:
        from gainbench.machine import verdicts_record

        console.tell(verdicts_record(verdicts))
    raise typer.Exit(0 if all(verdict.passed for verdict in verdicts) else 1)


@app.command()
def new_method(
    name: Annotated[str, typer.Argument(help="what suites will call it, as in my_method")],
    *,
    folder: Annotated[Path, typer.Option(metavar="FOLDER", callback=at_home, help="where NAME.py goes")] = Path(),
) -> None:
    """Write a commented one-file plugin that trains and passes check, to change into a method of your own."""
    from gainbench.run.new_method import new_method as write

    path = write(name, folder)
    console.say(f"written: {path}", "bold", whole=True)
    console.say(f"next: gainbench check {shlex.quote(str(path))}", whole=True)


@app.command()
def explain(
    method: Annotated[str, typer.Argument(autocompletion=completion.one_method, help="gain, or gain[option=value]")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", callback=at_home, help="a picture")],
    mask: Annotated[Path, typer.Argument(metavar="MASK", callback=at_home, help="of the same size, white = hole")],
    *,
    weights: Annotated[
        Path, typer.Option(metavar="CELL|FILE", callback=at_home, help="a trained cell's folder, or its weights")
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            callback=at_home,
            help="gets an SVG and a PNG, named by picture, mask, method, scale and a digest of their contents",
        ),
    ] = Path("results/explained"),
    scale: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.scale_names, help="what weights were trained at that lie in no cell's folder"
        ),
    ] = None,
    invert_masks: Annotated[
        bool | None, typer.Option("--invert-masks/--no-invert-masks", help="black is the hole / white is, even if most")
    ] = None,
    precision: ArithmeticOption = Arithmetic.auto,
) -> None:
    """Show how gain closes a hole: masks and priorities block by block, recovered gradients, completed picture."""
    from gainbench.report.explanation import write_explanation
    from gainbench.run.explain import explain as look_on

    explanation = look_on(
        method, image, mask, weights=weights, scale=scale, invert_masks=invert_masks, precision=precision.value
    )
    for path in write_explanation(explanation, out):
        console.say(str(path), whole=True)


@app.command()
def inpaint(
    *,
    image: Annotated[
        Path, typer.Option(metavar="FILE|FOLDER", callback=at_home, help="a picture, or a folder of them")
    ],
    mask: Annotated[
        Path, typer.Option(metavar="FILE|FOLDER", callback=at_home, help="white = hole; or a folder, paired by name")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", callback=at_home, help="gets a PNG for every picture")],
    method: Annotated[
        str | None,
        typer.Option(autocompletion=completion.one_method, help="NAME or NAME[option=value]; default the cell's"),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="CELL|FILE", callback=at_home, help="a trained cell's folder, or its weights.safetensors"),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.scale_names, help="what weights were trained at that lie in no cell's folder"
        ),
    ] = None,
    plugin: PluginOption = None,
    tile: Annotated[
        int | None, typer.Option(min=16, metavar="PX", help="pictures with longer sides go through in tiles")
    ] = None,
    invert_masks: Annotated[
        bool | None, typer.Option("--invert-masks/--no-invert-masks", help="black is the hole / white is, even if most")
    ] = None,
    precision: ArithmeticOption = Arithmetic.auto,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fill holes in pictures of your own, of any size; exit code 1 ... 100: so many could not be filled."""
    console.behave(quiet=quiet, as_json=as_json)
    from gainbench.run.inpaint import inpaint as fill

    with console.Counter("pictures") as counter:
        done = fill(
            image,
            mask,
            out,
            method=method,
            weights=weights,
            scale=scale,
            plugin=plugin,
            tile=tile,
            invert_masks=invert_masks,
            precision=precision.value,
            progress=counter.update,
        )
    unfilled = [item for item in done if item.output is None]
    for item in unfilled:
        console.warn(f"not filled: {item.problem}")
    console.say(f"{len(done) - len(unfilled)} of {len(done)} pictures filled, in {out}", whole=True)
    if as_json:
        from gainbench.machine import filled_record

        console.tell(filled_record(done))
    raise typer.Exit(min(len(unfilled), 100))

"""Verbs that show what there is: list, env, assets."""

from pathlib import Path
from typing import Annotated

import typer

from gainbench import console
from gainbench.cli.application import app
from gainbench.errors import SpecError
from gainbench.options import AssetsOption, Listed, PluginOption, provide

assets_app = typer.Typer(help="Weights and photographs: list, fetch, verify.", no_args_is_help=True)
app.add_typer(assets_app, name="assets")


@app.command("list")
def list_things(
    what: Listed,
    *,
    plugin: PluginOption = None,
    stats: Annotated[str | None, typer.Option(help="of masks: measure the holes of this protocol")] = None,
    path: Annotated[Path | None, typer.Option(help="of masks: the folder that the protocol reads")] = None,
) -> None:
    """List methods and options, suites, data sets, hole protocols, metrics, or our readings of GAIN's paper."""
    from gainbench import listings

    if stats is not None:
        if what is not Listed.masks:
            raise SpecError("--stats belongs to `list masks`")
        console.show_table(*listings.hole_statistics_listing(stats, path), title=stats)
    elif what is Listed.methods:
        from gainbench.registry import installed_methods, plugin_methods

        entries = installed_methods() | (plugin_methods(plugin) if plugin is not None else {})
        console.show_table(*listings.methods_listing(entries.values()))
    elif what is Listed.suites:
        console.show_table(*listings.suites_listing())
        console.show_table(*listings.scales_listing())
    elif what is Listed.datasets:
        console.show_table(*listings.datasets_listing())
    elif what is Listed.masks:
        console.show_table(*listings.masks_listing())
    elif what is Listed.metrics:
        console.show_table(*listings.metrics_listing())
    else:
        from gainbench.gain.readings import readings_markdown

        typer.echo(readings_markdown(), nl=False)


@app.command()
def env() -> None:
    """Show versions, hardware, commit and precision as results record them."""
    from gainbench.run.environment import compute_device, describe_environment
    from gainbench.training import resolve_precision

    device = compute_device()
    console.out.print_json(data=describe_environment(device=device, precision=resolve_precision("auto", device)))


@assets_app.command("list")
def assets_list(*, assets_dir: AssetsOption = None) -> None:
    """List weights and photographs, their licences, and whether they are at hand."""
    provide(None, assets_dir)
    from gainbench.listings import assets_listing

    console.show_table(*assets_listing())


@assets_app.command("fetch")
def assets_fetch(
    names: Annotated[list[str] | None, typer.Argument(help="default: all")] = None, *, assets_dir: AssetsOption = None
) -> None:
    """Bring assets into the cache and say where each came from."""
    from gainbench.assets import fetch_assets

    fetched = fetch_assets(names or None, assets_dir=assets_dir)
    console.show_table(("asset", "source", "path"), [(item.name, item.source, str(item.path)) for item in fetched])


@assets_app.command("verify")
def assets_verify(names: Annotated[list[str] | None, typer.Argument(help="default: all")] = None) -> None:
    """Read every byte of the cached assets and compare with the catalogue; exit code 1 if any is damaged."""
    from gainbench.assets import verify_assets

    verified = verify_assets(names or None)
    console.show_table(("asset", "state", "detail"), [(item.name, item.status, item.detail) for item in verified])
    raise typer.Exit(1 if any(item.status == "damaged" for item in verified) else 0)

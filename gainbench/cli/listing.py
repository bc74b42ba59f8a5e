"""Verbs that show what there is: list, env, assets."""

from pathlib import Path
from typing import Annotated

import typer

from gainbench import completion, console
from gainbench.cli.application import app
from gainbench.errors import SpecError
from gainbench.options import AssetsOption, JsonOption, Listed, PluginOption, at_home, one_of, provide

assets_app = typer.Typer(help="Weights and photographs: list, fetch, verify.", no_args_is_help=True)
app.add_typer(assets_app, name="assets")

AssetNames = Annotated[list[str] | None, typer.Argument(autocompletion=completion.assets, help="default: all")]


@app.command("list")
def list_things(
    what: Annotated[Listed, typer.Argument(help="what to list", **one_of(Listed, "list"))],
    *,
    plugin: PluginOption = None,
    stats: Annotated[
        str | None,
        typer.Option(autocompletion=completion.protocols, help="of masks: measure the holes of this protocol"),
    ] = None,
    path: Annotated[
        Path | None, typer.Option(callback=at_home, help="of masks: the folder that the protocol reads")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List methods and options, suites, data sets, hole protocols, metrics, or our readings of GAIN's paper."""
    console.behave(as_json=as_json)
    from gainbench import listings

    if stats is not None and what is not Listed.masks:
        raise SpecError("--stats belongs to `list masks`")
    if path is not None and stats is None:
        raise SpecError("--path belongs to `list masks --stats PROTOCOL`; without that, no folder is read")
    if plugin is not None and what is not Listed.methods:
        raise SpecError("--plugin belongs to `list methods`")
    if what is Listed.readings:
        from gainbench.gain.readings import readings_markdown

        if as_json:
            raise SpecError("the readings are a Markdown table; there is no JSON of them")
        typer.echo(readings_markdown(), nl=False)
        return
    if what is Listed.methods:
        from gainbench.registry import installed_methods, plugin_methods

        entries = installed_methods() | (plugin_methods(plugin) if plugin is not None else {})
        console.show_table(*listings.methods_listing(entries.values()))
        if as_json:
            console.tell(listings.methods_records(entries.values()))
        return
    shown = {
        Listed.suites: lambda: {"suites": listings.suites_listing(), "scales": listings.scales_listing()},
        Listed.datasets: lambda: {"datasets": listings.datasets_listing()},
        Listed.masks: lambda: {
            "masks": listings.masks_listing() if stats is None else listings.hole_statistics_listing(stats, path)
        },
        Listed.metrics: lambda: {"metrics": listings.metrics_listing()},
    }[what]()
    for listing in shown.values():
        console.show_table(*listing, title=stats)
    if as_json:
        records = {name: listings.as_records(listing) for name, listing in shown.items()}
        console.tell(records if len(records) > 1 else next(iter(records.values())))


@app.command()
def env(*, as_json: JsonOption = False) -> None:
    """Show versions, hardware, commit and precision as results record them, and where caches are."""
    console.behave(as_json=as_json)
    from gainbench.run.environment import compute_device, describe_caches, describe_environment
    from gainbench.training import resolve_precision

    device = compute_device()
    found = describe_environment(device=device, precision=resolve_precision("auto", device))
    found["caches"] = describe_caches()
    console.show_environment(found)
    if as_json:
        console.tell(found)


@assets_app.command("list")
def assets_list(*, assets_dir: AssetsOption = None, as_json: JsonOption = False) -> None:
    """List weights and photographs, their licences, and whether they are at hand."""
    console.behave(as_json=as_json)
    provide(None, assets_dir)
    from gainbench.listings import as_records, assets_listing

    listing = assets_listing()
    console.show_table(*listing)
    if as_json:
        console.tell(as_records(listing))


@assets_app.command("fetch")
def assets_fetch(names: AssetNames = None, *, assets_dir: AssetsOption = None, as_json: JsonOption = False) -> None:
    """Bring assets into the cache and say where each came from."""
    console.behave(as_json=as_json)
    provide(None, assets_dir)
    from gainbench.assets import fetch_assets
    from gainbench.listings import Listing, as_records

    fetched = fetch_assets(names or None)
    listing = Listing(("asset", "source", "path"), [(item.name, item.source, str(item.path)) for item in fetched])
    console.show_table(*listing)
    if as_json:
        console.tell(as_records(listing))


@assets_app.command("verify")
def assets_verify(names: AssetNames = None, *, as_json: JsonOption = False) -> None:
    """Read every byte of the cached assets and compare with the catalogue; exit code 1 if any is damaged."""
    console.behave(as_json=as_json)
    from gainbench.assets import verify_assets
    from gainbench.listings import Listing, as_records

    verified = verify_assets(names or None)
    listing = Listing(("asset", "state", "detail"), [(item.name, item.status, item.detail) for item in verified])
    console.show_table(*listing)
    if as_json:
        console.tell(as_records(listing))
    raise typer.Exit(1 if any(item.status == "damaged" for item in verified) else 0)

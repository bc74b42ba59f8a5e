"""``python -m gainbench``: verbs and no logic. torch is loaded only by verbs that compute.

Exit codes: 0 when all went well; 1 ... 100 the number of cells that are not done, or 1 for a failed check; 2 for an
error that a person can act on; 130 for an interrupted run.
"""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from gainbench import console
from gainbench.errors import GainbenchError, SpecError
from gainbench.options import (
    ROOT,
    Arithmetic,
    ArithmeticOption,
    AssetsOption,
    CheckpointOption,
    DataOption,
    DatasetsOption,
    FidOption,
    IterationsOption,
    Listed,
    MethodsOption,
    PluginOption,
    Retry,
    RootOption,
    ScaleOption,
    SeedsOption,
    StrictOption,
    SuiteOption,
    job_count,
    provide,
    selection,
)

INTERRUPTED = 130

app = typer.Typer(
    help="What should guide a network that fills irregular holes: image gradients, binary edges, or nothing?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
assets_app = typer.Typer(help="Weights and photographs: list, fetch, verify.", no_args_is_help=True)
app.add_typer(assets_app, name="assets")


def main() -> None:
    """The entry point: an error for people is one message and exit code 2."""
    try:
        app()
    except GainbenchError as error:
        console.fail(str(error))
        sys.exit(2)


@app.callback()
def _settings(*, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="say more")] = False) -> None:
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


@app.command()
def run(
    *,
    suite: SuiteOption,
    scale: ScaleOption = None,
    iterations: IterationsOption = None,
    methods: MethodsOption = None,
    datasets: DatasetsOption = None,
    seeds: SeedsOption = None,
    data: DataOption = None,
    plugin: PluginOption = None,
    strict: StrictOption = False,
    jobs: Annotated[str, typer.Option(help="cells at a time, or auto: one a GPU, else one a core")] = "auto",
    timeout: Annotated[float | None, typer.Option(min=0.0, help="seconds of wall time for one cell")] = None,
    precision: ArithmeticOption = Arithmetic.auto,
    checkpoint_seconds: CheckpointOption = 60.0,
    retry: Annotated[Retry, typer.Option(help="failed: also run what raised or diverged before")] = Retry.interrupted,
    wait: Annotated[float, typer.Option(min=0.0, help="seconds to wait for another run in ROOT")] = 0.0,
    fid_weights: FidOption = None,
    assets_dir: AssetsOption = None,
    root: RootOption = ROOT,
) -> None:
    """Train and evaluate what is not done yet, then build the report. Run again to go on."""
    provide(fid_weights, assets_dir)
    from gainbench.run.grid import run_suite

    display = console.RunDisplay()
    try:
        with display:
            ran = run_suite(
                suite,
                root=root,
                **selection(scale, iterations, methods, datasets, seeds, data, plugin, strict=strict),
                jobs=job_count(jobs),
                timeout=timeout,
                precision=precision.value,
                checkpoint_seconds=checkpoint_seconds,
                retry=retry.value,
                wait=wait,
                watch=display,
            )
    except KeyboardInterrupt:
        console.fail("interrupted; finished cells are kept, the same command goes on where this one stopped")
        raise typer.Exit(INTERRUPTED) from None
    _build_report(ran.plan.root, ran.plan.resolved.folder_name)
    console.show_unfinished(ran)
    raise typer.Exit(min(len(ran.unfinished), 100))


@app.command()
def plan(
    *,
    suite: SuiteOption,
    scale: ScaleOption = None,
    iterations: IterationsOption = None,
    methods: MethodsOption = None,
    datasets: DatasetsOption = None,
    seeds: SeedsOption = None,
    data: DataOption = None,
    plugin: PluginOption = None,
    strict: StrictOption = False,
    fid_weights: FidOption = None,
    assets_dir: AssetsOption = None,
    root: RootOption = ROOT,
) -> None:
    """Show the cells of a suite and how far each is; writes nothing."""
    provide(fid_weights, assets_dir)
    from gainbench.run.plan import plan_suite

    chosen = selection(scale, iterations, methods, datasets, seeds, data, plugin, strict=strict)
    console.show_plan(plan_suite(suite, root=root, **chosen))


@app.command()
def status(
    suite: Annotated[str | None, typer.Argument(help="as in smoke-tiny; default all of ROOT")] = None,
    *,
    root: RootOption = ROOT,
) -> None:
    """Show how every cell of a planned suite stands, and why those that are not done are not."""
    from gainbench.run.store import read_cells, read_suite, stored_suites

    names: list[str | None] = [suite] if suite else [*stored_suites(root)]
    for name in names or [None]:
        resolved = read_suite(root, name)
        console.show_statuses(resolved.folder_name, read_cells(root, resolved))


@app.command()
def report(
    suite: Annotated[str | None, typer.Argument(help="as in smoke-tiny; may be left out if ROOT has one")] = None,
    *,
    root: RootOption = ROOT,
) -> None:
    """Build tables, plots, gallery and report.html from stored results; computes nothing."""
    _build_report(root, suite)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="a suite's folder such as results/runs/smoke-tiny, or a method's label")],
    b: Annotated[str, typer.Argument(help="the same; judged against A")],
    *,
    suite: Annotated[str | None, typer.Option(help="the suite that labels belong to, as in smoke-tiny")] = None,
    metrics: Annotated[str | None, typer.Option(help="separated by commas; default all that both have")] = None,
    root: RootOption = ROOT,
) -> None:
    """Say what is better or worse in B than in A, with intervals; exit code 1 if anything is separably worse."""
    from gainbench.report.comparison import compare as compare_rows
    from gainbench.report.comparison import comparison_listing
    from gainbench.run.store import named_rows

    chosen = metrics.split(",") if metrics else None
    comparison = compare_rows(named_rows(a, root, suite), named_rows(b, root, suite), metrics=chosen)
    console.show_table(*comparison_listing(comparison))
    console.say(f"{len(comparison.regressions)} regressions", "red" if comparison.regressions else "green")
    raise typer.Exit(1 if comparison.regressions else 0)


@app.command(hidden=True)
def cell(
    spec: Path,
    *,
    root: RootOption = ROOT,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    precision: ArithmeticOption = Arithmetic.auto,
    checkpoint_seconds: CheckpointOption = 60.0,
    supervised: Annotated[bool, typer.Option("--supervised", help="end when standard input closes")] = False,
) -> None:
    """Run one cell in this process; `run` starts this verb for every cell."""
    from gainbench.run.executors.child import end_with_parent, run_child

    if supervised:
        end_with_parent()
    done = run_child(
        spec,
        root,
        threads=threads,
        precision=precision.value,
        checkpoint_seconds=checkpoint_seconds,
        counted=not supervised,
    )
    raise typer.Exit(0 if done else 1)


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
def check(method: Annotated[str, typer.Argument(help="NAME, NAME[option=value] or a plugin file")]) -> None:
    """Hold a method to its contract; exit code 1 if it breaks it."""
    from gainbench.run.check import check_method

    verdicts = check_method(method)
    console.show_table(
        ("", "behaviour", "found"),
        [("passed" if verdict.passed else "failed", verdict.behaviour, verdict.detail) for verdict in verdicts],
    )
    raise typer.Exit(0 if all(verdict.passed for verdict in verdicts) else 1)


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


def _build_report(root: Path, suite: str | None) -> None:
    from gainbench.report import build_report
    from gainbench.report.render import console as rendered
    from gainbench.run.store import read_results

    stored = read_results(root, suite)
    paths = build_report(stored, stored.folder)
    files = len(paths.tables) + len(paths.plots) + len(paths.gallery)
    console.show_report(map(rendered, paths.main_tables), paths.html, files)

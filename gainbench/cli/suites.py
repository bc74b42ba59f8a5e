"""Verbs of suites: run, plan, status, report, compare."""

from pathlib import Path
from typing import Annotated

import typer

from gainbench import console
from gainbench.cli.application import INTERRUPTED, app
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
    memory_limit: Annotated[float | None, typer.Option(min=0.0, help="MiB of resident memory for one cell")] = None,
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
    from gainbench.run.signals import signals_interrupt

    display = console.RunDisplay()
    try:
        with signals_interrupt():
            with display:
                ran = run_suite(
                    suite,
                    root=root,
                    **selection(scale, iterations, methods, datasets, seeds, data, plugin, strict=strict),
                    jobs=job_count(jobs),
                    timeout=timeout,
                    memory_limit=memory_limit,
                    precision=precision.value,
                    checkpoint_seconds=checkpoint_seconds,
                    retry=retry.value,
                    wait=wait,
                    watch=display,
                )
            _build_report(ran.plan.root, ran.plan.resolved.folder_name)
    except KeyboardInterrupt:
        console.fail("interrupted; finished cells are kept, the same command goes on where this one stopped")
        raise typer.Exit(INTERRUPTED) from None
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


def _build_report(root: Path, suite: str | None) -> None:
    from gainbench.report import build_report
    from gainbench.report.render import console as rendered
    from gainbench.run.store import read_results

    stored = read_results(root, suite)
    paths = build_report(stored, stored.folder)
    files = len(paths.tables) + len(paths.plots) + len(paths.gallery)
    console.show_report(map(rendered, paths.main_tables), paths.html, files)

"""Verbs of suites: run, plan, status, report, compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gainbench import completion, console
from gainbench.cli.application import app
from gainbench.cli.elsewhere import (
    AddressOption,
    ClusterOption,
    CpusOption,
    ExecutorOption,
    GpusOption,
    Place,
    SlurmOption,
    chosen_executor,
)
from gainbench.options import (
    ROOT,
    Arithmetic,
    ArithmeticOption,
    AssetsOption,
    CheckpointOption,
    DataOption,
    DatasetsOption,
    DevicesOption,
    FidOption,
    FreshOption,
    IterationsOption,
    JsonOption,
    MethodsOption,
    PlannedArgument,
    PluginOption,
    QuietOption,
    ReferenceDirOption,
    ReferenceOption,
    Retry,
    RootOption,
    ScaleOption,
    SeedsOption,
    StrictOption,
    SuiteOption,
    job_count,
    one_of,
    provide,
    reuse,
    selection,
    split_names,
)

if TYPE_CHECKING:
    from gainbench.report import ReportPaths


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
    devices: DevicesOption = 1,
    timeout: Annotated[float | None, typer.Option(min=0.0, help="seconds of wall time for one cell")] = None,
    memory_limit: Annotated[float | None, typer.Option(min=0.0, help="MiB of resident memory for one cell")] = None,
    precision: ArithmeticOption = Arithmetic.auto,
    checkpoint_seconds: CheckpointOption = 60.0,
    retry: Annotated[
        Retry, typer.Option(help="failed: also run what raised or diverged before", **one_of(Retry, "--retry"))
    ] = Retry.interrupted,
    reference: ReferenceOption = None,
    fresh: FreshOption = False,
    reference_dir: ReferenceDirOption = None,
    wait: Annotated[float, typer.Option(min=0.0, help="seconds to wait for another run in ROOT")] = 0.0,
    executor: ExecutorOption = Place.local,
    ray_address: AddressOption = None,
    cluster: ClusterOption = None,
    slurm: SlurmOption = None,
    cpus_per_cell: CpusOption = None,
    gpus_per_cell: GpusOption = None,
    forecast: Annotated[
        bool, typer.Option(help="before it starts, time a few iterations of what no earlier cell tells about")
    ] = True,
    fid_weights: FidOption = None,
    assets_dir: AssetsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    root: RootOption = ROOT,
) -> None:
    """Train and evaluate what is not done yet, build the report, compare with reference results. Run again to go on."""
    console.behave(quiet=quiet, as_json=as_json)
    provide(fid_weights, assets_dir)
    from gainbench.cli.reference import compared_with_reference
    from gainbench.machine import run_record
    from gainbench.run.grid import run_suite
    from gainbench.run_display import RunDisplay

    chosen = chosen_executor(
        executor, ray_address=ray_address, cluster=cluster, slurm=slurm, cpus=cpus_per_cell, gpus=gpus_per_cell
    )
    # What this machine can time says nothing about those of a cluster.
    timing = forecast and not quiet and executor == Place.local
    with RunDisplay(timing=timing) as display:
        ran = run_suite(
            suite,
            root=root,
            **selection(scale, iterations, methods, datasets, seeds, data, plugin, strict=strict),
            jobs=job_count(jobs),
            devices=devices,
            timeout=timeout,
            memory_limit=memory_limit,
            precision=precision.value,
            checkpoint_seconds=checkpoint_seconds,
            retry=retry.value,
            **reuse(reference, reference_dir, fresh=fresh),
            wait=wait,
            executor=chosen,
            watch=display,
        )
    paths = _build_report(ran.plan.root, ran.plan.resolved.folder_name)
    reproduced = compared_with_reference(ran.plan.root, ran.plan.resolved.folder_name, ran.plan.reference)
    console.show_unfinished(ran)
    if as_json:
        console.tell(run_record(ran, paths, reproduced))
    failed = reproduced is not None and not reproduced.holds
    raise typer.Exit(min(len(ran.unfinished), 100) or int(failed))


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
    jobs: Annotated[str, typer.Option(help="as `run` takes it; matters to --forecast alone")] = "auto",
    forecast: Annotated[
        bool, typer.Option("--forecast", help="time a few iterations of what no earlier cell tells about")
    ] = False,
    reference: ReferenceOption = None,
    fresh: FreshOption = False,
    reference_dir: ReferenceDirOption = None,
    fid_weights: FidOption = None,
    assets_dir: AssetsOption = None,
    as_json: JsonOption = False,
    root: RootOption = ROOT,
) -> None:
    """Show the cells of a suite, how far each is and how long a run would take; writes nothing."""
    console.behave(as_json=as_json)
    provide(fid_weights, assets_dir)
    from gainbench.machine import plan_record
    from gainbench.run.grid import would_start
    from gainbench.run.plan import plan_suite
    from gainbench.run_display import forecast_told

    chosen = selection(scale, iterations, methods, datasets, seeds, data, plugin, strict=strict)
    resolved = plan_suite(suite, root=root, **chosen, **reuse(reference, reference_dir, fresh=fresh))
    started, execution = would_start(resolved, job_count(jobs))
    taken = {cell.spec.key for cell in resolved.cells if cell.taking}
    expected = forecast_told(root, [spec for spec in started if spec.key not in taken], execution, timing=forecast)
    console.show_plan(resolved, expected.sentences())
    if as_json:
        console.tell(plan_record(resolved, expected))


@app.command()
def status(suite: PlannedArgument = None, *, as_json: JsonOption = False, root: RootOption = ROOT) -> None:
    """Show how every cell of a planned suite stands, and why those that are not done are not."""
    console.behave(as_json=as_json)
    from gainbench.machine import status_record
    from gainbench.run.store import read_cells, read_suite, stored_suites

    names: list[str | None] = [suite] if suite else [*stored_suites(root)]
    suites = [read_suite(root, name) for name in names or [None]]
    cells = {resolved.folder_name: read_cells(root, resolved) for resolved in suites}
    for name, stored in cells.items():
        console.show_statuses(name, stored)
    if as_json:
        console.tell(status_record(cells))


@app.command()
def report(
    suite: PlannedArgument = None,
    *,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    root: RootOption = ROOT,
) -> None:
    """Build tables, plots, gallery and report.html from stored results; computes nothing."""
    console.behave(quiet=quiet, as_json=as_json)
    paths = _build_report(root, suite)
    if as_json:
        from gainbench.machine import report_record

        console.tell(report_record(paths))


@app.command()
def compare(
    a: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.compared,
            help="a suite's folder such as results/runs/smoke-tiny, or a method's label",
        ),
    ],
    b: Annotated[str, typer.Argument(autocompletion=completion.compared, help="the same; judged against A")],
    *,
    suite: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.planned_suites, help="the suite that labels belong to, as in smoke-tiny"
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.metrics,
            help="separated by commas, such as l1_hole,kid_mobilenetv2; default all of single pictures that both have",
        ),
    ] = None,
    as_json: JsonOption = False,
    root: RootOption = ROOT,
) -> None:
    """Say what is better or worse in B than in A, with intervals; exit code 1 if anything is separably worse."""
    console.behave(as_json=as_json)
    from gainbench.report.comparison import compare as compare_rows
    from gainbench.report.comparison import comparison_listing
    from gainbench.run.store import named_results

    chosen = split_names(metrics)
    one, other = (named_results(name, root, suite) for name in (a, b))
    features = one.features_of, other.features_of
    comparison = compare_rows(one.rows, other.rows, metrics=chosen, features=features)
    console.show_table(*comparison_listing(comparison))
    console.say(f"{len(comparison.regressions)} regressions", "red" if comparison.regressions else "green")
    if as_json:
        from gainbench.machine import comparison_record

        console.tell(comparison_record(comparison))
    raise typer.Exit(1 if comparison.regressions else 0)


@app.command(hidden=True)
def cell(
    spec: Path,
    *,
    root: RootOption = ROOT,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    devices: DevicesOption = 1,
    precision: ArithmeticOption = Arithmetic.auto,
    checkpoint_seconds: CheckpointOption = 60.0,
    supervised: Annotated[bool, typer.Option("--supervised", help="end when standard input closes")] = False,
    noted: Annotated[bool, typer.Option("--noted", help="the attempt is noted and counted already")] = False,
) -> None:
    """Run one cell in this process; `run` starts this verb for every cell."""
    from gainbench.run.executors.child import end_with_parent, run_child

    if supervised:
        end_with_parent()
    done = run_child(
        spec,
        root,
        threads=threads,
        devices=devices,
        precision=precision.value,
        checkpoint_seconds=checkpoint_seconds,
        counted=not noted,
    )
    raise typer.Exit(0 if done else 1)


@app.command(hidden=True)
def train_part(
    spec: Path,
    *,
    root: RootOption = ROOT,
    precision: ArithmeticOption = Arithmetic.auto,
    checkpoint_seconds: CheckpointOption = 60.0,
) -> None:
    """Be one of the processes that share a cell's training; a cell with several devices starts this verb for each."""
    from gainbench.run.executors.child import end_with_parent
    from gainbench.run.train_cell import train_part as work

    end_with_parent()
    work(spec, root, precision=precision.value, checkpoint_seconds=checkpoint_seconds)


@app.command(hidden=True)
def time_cells(
    specs: Path,
    *,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    precision: ArithmeticOption = Arithmetic.auto,
    supervised: Annotated[bool, typer.Option("--supervised", help="end when standard input closes")] = False,
) -> None:
    """Time a few iterations of each listed cell, a JSON line each; `run` starts this verb before its cells."""
    import json

    from gainbench.standard_output import standard_output_apart

    # Before anything else is imported: whatever prints when it is loaded would write between the lines.
    with standard_output_apart() as notes:
        from gainbench.run.executors.child import end_with_parent
        from gainbench.run.timing import time_listed

        if supervised:
            end_with_parent()
        for note in time_listed(specs, threads=threads, precision=precision.value):
            notes.write(json.dumps(note) + "\n")
            notes.flush()


def _build_report(root: Path, suite: str | None) -> "ReportPaths":
    from gainbench.report import build_report
    from gainbench.report.terminal import terminal_tables
    from gainbench.run.store import read_results

    stored = read_results(root, suite)
    paths = build_report(stored, stored.folder)
    places = {
        "cells": f"{root / 'cells'}  weights, rows, logs",
        "tables": f"{stored.folder / 'tables'}  {len(paths.tables)} files: Markdown, TeX, CSV",
        "plots": f"{stored.folder / 'plots'}  {len(paths.plots)} files: SVG, PNG, CSV",
        "gallery": f"{stored.folder / 'gallery'}  {len(paths.gallery)} contact sheets",
        "report": str(paths.html),
    }
    console.show_report(terminal_tables(paths.main_tables), places)
    return paths

"""What a table must say about itself, so that no number is taken for more than it is.

Scale, training budget, photographs, holes and metric ids; what was left out, what is missing and why, which cells
failed; what the marks mean and what they do not.
"""

from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from gainbench.report.analysis import ALL, FEW_PICTURES, Analysis, Score, Scored
from gainbench.report.numbers import count, counted, listed
from gainbench.run.store import StoredCell
from gainbench.spec import CellResult, Scale, scales

PAPER_SCALE = "full"
"""The scale with the published size, width and budget."""

FEW_PHOTOGRAPHS = 20
"""Below this many clusters a bootstrap interval is visibly too narrow."""

FEW_SEEDS = 10
"""Fewer are resampled too tamely: what a few seeds differ by says little of what others would."""

PRIORITY_SIZE = 128
"""Below this side in pixels the hole is closed before the mask-shrinkage priority has anything to decide."""

PSNR_CAP = 100.0

FLOOR_LABEL = "real against real"
"""The row that shows a set metric between originals and other real pictures."""


STATES = {
    "pending": "not run",
    "running": "still running",
    "interrupted": "interrupted",
    "failed": "failed",
    "nan": "not a number",
    "killed": "killed",
    "timeout": "timed out",
}


def state_of(cell: StoredCell) -> str:
    """A cell's fate in a word or two; ``no result`` if it was done once and lost its files."""
    return "done" if cell.result is not None else STATES.get(cell.status.state, "no result")


def scale_sentence(scale: Scale) -> str:
    """Size, width, budget of a scale."""
    return (
        f"Scale {scale.name}: {scale.size} x {scale.size} px, base {scale.base}, trained methods "
        f"{counted(scale.iterations, 'iteration')} of batch {scale.batch}."
    )


def priority_silence(methods: Collection[str], size: int) -> str:
    """Why nothing is said about the priority; empty where something may be, and without gain.

    Args:
        methods: names of the methods shown.
        size: side of the pictures in pixels.
    """
    if "gain" not in methods or size >= PRIORITY_SIZE:
        return ""
    return (
        f"No statement about the mask-shrinkage priority is made below {PRIORITY_SIZE} px: at {size} px holes close "
        "before it has anything to decide."
    )


def reduced_sentence(scale: Scale) -> str:
    """How far a scale is from the paper's; empty if it is the paper's."""
    paper = scales()[PAPER_SCALE]
    if (scale.size, scale.base, scale.batch, scale.iterations) == (
        paper.size,
        paper.base,
        paper.batch,
        paper.iterations,
    ):
        return ""
    return (
        f"Reduced run: the paper trains {count(paper.iterations)} iterations of batch {paper.batch} at {paper.size} px "
        f"and base {paper.base} (scale {paper.name}); these numbers must not be set beside published ones."
    )


def drawn_sentence(analysis: Analysis) -> str:
    """Which methods are in tables alone; empty if every method is drawn."""
    if len(analysis.drawn) == len(analysis.methods):
        return ""
    return (
        f"{count(len(analysis.methods))} methods: the first table has all of them, and so have the files beside this "
        f"page. Figures, pictures and the comparisons of every two show the first {len(analysis.drawn)} in the order "
        "of the suite; `gainbench compare A B` takes any."
    )


def caption(analysis: Analysis, dataset: str, metrics: Sequence[str]) -> list[str]:
    """What was measured on what, sentence by sentence."""
    cells = analysis.cells(dataset)
    results = [cell.result for cell in cells if cell.result is not None]
    scale, masks = cells[0].spec.scale, cells[0].spec.masks
    rows = analysis.stored.rows[analysis.stored.rows["dataset"] == dataset]
    sentences = [f"Data set {dataset}.", scale_sentence(scale), reduced_sentence(scale)]
    if results:
        pictures = counted(rows["image_id"].nunique(), "test picture")
        photographs = counted(rows["photograph"].nunique(), "photograph")
        pairs = count(len(rows.drop_duplicates(["image_id", "bin", "border"])))
        sentences.append(f"{pictures} of {photographs}; n = {pairs} (picture, hole) pairs.")
        pairing = f", pairing {results[0].pairing_sha256[:12]}"
    else:
        sentences.append("No cell is finished.")
        pairing = ""
    sentences.append(f"Holes: {masks.protocol}, mask seed {masks.seed}{pairing}.")
    sentences.append(f"Training seeds: {listed(sorted({cell.spec.seed for cell in cells}))}.")
    sentences.append(f"Metrics: {', '.join(metrics)}." if metrics else "No metric could be computed.")
    return [sentence for sentence in sentences if sentence]


def general_notes(analysis: Analysis, dataset: str, metrics: Sequence[str], *, of_all_metrics: bool) -> list[str]:
    """Everything a reader must know that is not about a single row.

    A table of one metric (not ``of_all_metrics``) does not list the other metrics that are missing.
    """
    return [
        *opening_notes(analysis, dataset),
        *map(_sentence, analysis.stored.resolved.footnotes),
        *marks_notes(analysis, dataset, metrics, pooled_bins=of_all_metrics, trained=analysis.trained),
        *set_metric_notes(analysis, dataset, metrics),
        *(missing_notes(analysis, dataset) if of_all_metrics else []),
        *capped_notes(analysis.stored.rows[analysis.stored.rows["dataset"] == dataset], metrics),
        *_method_notes(analysis, dataset),
    ]


def narrowed_notes(analysis: Analysis) -> list[str]:
    """In what ways less than the suite was run."""
    return [f"Narrowed: {_sentence(change)}" for change in analysis.stored.resolved.narrowed]


def opening_notes(analysis: Analysis, dataset: str) -> list[str]:
    """What every table says first: less than the suite, cells not trained here, cells not even evaluated here."""
    return [*narrowed_notes(analysis), *_reference_notes(analysis, dataset)]


def _reference_notes(analysis: Analysis, dataset: str) -> list[str]:
    taken = [(cell, cell.taken.kind) for cell in analysis.cells(dataset) if cell.taken and cell.result is not None]
    weights, rows = (
        listed([f"{cell.spec.method.label} (seed {cell.spec.seed})" for cell, kind in taken if kind == wanted])
        for wanted in ("weights", "rows")
    )
    notes = []
    if weights:
        notes.append(f"Trained elsewhere, evaluated here with the weights of the reference results: {weights}.")
    if rows:
        notes.append(f"Rows of the reference results, neither trained nor evaluated here: {rows}.")
    return notes


def marks_notes(
    analysis: Scored, dataset: str, metrics: Sequence[str], *, pooled_bins: bool, trained: Collection[str]
) -> list[str]:
    """What brackets, bold and underline mean, and how far the intervals reach.

    Only of methods that are ``trained`` here it is said what their seeds can tell.
    """
    found = [
        by_method
        for place, by_method in analysis.scores.items()
        if place.dataset == dataset and place.metric in metrics and (place.bin == ALL or not pooled_bins)
    ]
    scores = [score for by_method in found for score in by_method.values()]
    if not scores:
        return []
    notes = [f"Brackets: 95 % BCa bootstrap intervals, {_resampled(scores)} resampled as wholes."]
    if any(score.best for score in scores):
        notes.append(
            "Bold: best. Underlined: not separable from the best (paired differences by picture and hole; sign-flip p "
            "≥ .05 after Holm over all bins and border classes of the metric, or an interval that includes zero)."
        )
    seeds = {
        method: score.interval.seeds for by_method in found for method, score in by_method.items() if method in trained
    }
    notes += _seed_notes(seeds)
    fewest = min(score.interval.clusters for score in scores)
    if fewest < FEW_PHOTOGRAPHS:
        notes.append(f"Intervals over as few as {counted(fewest, 'photograph')} are rough and tend to be too narrow.")
    return notes


def _seed_notes(seeds: dict[str, int]) -> list[str]:
    once = [method for method, number in seeds.items() if number == 1]
    several = [number for number in seeds.values() if number > 1]
    notes = []
    if once and not several:
        notes.append("One training seed: intervals speak of the networks trained here, not of training them again.")
    elif once:
        notes.append(
            f"One training seed of {listed(once)}: intervals and differences speak of the network trained here, not of "
            "training it again."
        )
    if several and (fewest := min(several)) < FEW_SEEDS:
        notes.append(
            f"Intervals over {fewest} training seeds are rather too narrow: where seeds matter three times as much as "
            "photographs, of 100 intervals over three seeds 88 hold the truth, and 78 over two, not 95."
        )
    return notes


def resampled(analysis: Scored, dataset: str, *metrics: str) -> str:
    """What the intervals of some metrics on a data set are drawn over."""
    places = (place for place in analysis.scores if place.dataset == dataset and place.metric in metrics)
    return _resampled(score for place in places for score in analysis.scores[place].values())


def _resampled(scores: Iterable[Score]) -> str:
    seeds = {score.interval.seeds > 1 for score in scores}
    if seeds == {True}:
        return "training seeds and photographs"
    return "photographs and, where there are several, training seeds" if True in seeds else "photographs"


def set_metric_notes(analysis: Analysis, dataset: str, metrics: Sequence[str]) -> list[str]:
    """How far the metrics of whole sets may be trusted."""
    places = [place for place in analysis.set_scores if place.dataset == dataset and place.metric in metrics]
    if not places:
        return []
    names = listed([info.id for info in analysis.metrics(dataset, "set") if info.id in metrics])
    notes = [
        (
            f"{names}: one value for each set of pictures, without interval or test; its bias changes with n. The verb "
            "compare tests such a difference between two methods, if it is asked for the metric by name."
        ),
        (
            "Completed pictures are measured against their own originals, so these distances come out lower than "
            "between independent sets (KID below 0, too): compare methods within a column, not columns."
        ),
        (
            f"{FLOOR_LABEL.capitalize()}: the same distance between the originals and as many other real pictures, "
            "which share nothing with them; completed pictures share all that is known, so values below it are usual."
        ),
    ]
    if analysis.few_pictures(dataset):
        notes.append(
            f"With n below {count(FEW_PICTURES)} Frechet distances have a large bias: read KID first, where given."
        )
    return notes


def missing_notes(analysis: Analysis, dataset: str) -> list[str]:
    """Why a column that the suite asks for is absent or has gaps, and how to get it."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for cell, result in _finished(analysis.cells(dataset)):
        for metric, reason in result.missing.items():
            if metric in analysis.stored.resolved.suite.metrics:
                reasons.setdefault((metric, reason), []).append(cell.spec.method.label)
    finished = {cell.spec.method.label for cell, _ in _finished(analysis.cells(dataset))}
    return [
        f"{metric} is missing{'' if set(methods) == finished else f' for {listed(methods)}'}: {_sentence(reason)}"
        for (metric, reason), methods in reasons.items()
    ]


def cell_problem(cell: StoredCell) -> str:
    """Why a cell has no numbers, in one sentence; empty if it has."""
    if cell.result is not None:
        return ""
    cause = f": {_sentence(cell.status.cause)}" if cell.status.cause else "."
    return f"{cell.spec.method.label}, seed {cell.spec.seed}: {state_of(cell)}{cause}"


def problem_notes(analysis: Analysis, dataset: str, method: str) -> list[str]:
    """The cells of a method that have no numbers, one sentence each."""
    return [problem for cell in analysis.cells(dataset, method) if (problem := cell_problem(cell))]


def _method_notes(analysis: Analysis, dataset: str) -> list[str]:
    notes = []
    names = {cell.spec.method.name for cell in analysis.cells(dataset)}
    if silence := priority_silence(names, analysis.stored.resolved.scale.size):
        notes.append(silence)
    oracles = [method for method in analysis.methods if method in analysis.oracles]
    if oracles:
        notes.append(f"{listed(oracles)}: an oracle, given hidden pixels on purpose; shown, never ranked.")
    return notes


def capped_notes(rows: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """How many completed pictures of some rows are their originals, whose PSNR would be infinite."""
    if "psnr_rgb" not in metrics or "psnr_rgb" not in rows:
        return []
    capped = int((rows["psnr_rgb"] >= PSNR_CAP).sum())
    what = counted(capped, "completed picture is identical to its", "completed pictures are identical to their")
    return [f"psnr_rgb: {what} original; capped at {PSNR_CAP:.0f} dB."] if capped else []


def _finished(cells: Sequence[StoredCell]) -> list[tuple[StoredCell, CellResult]]:
    return [(cell, cell.result) for cell in cells if cell.result is not None]


def _sentence(text: str) -> str:
    """What an error explains over several lines, perhaps as a list, in one line that ends with a full stop."""
    joined = ""
    for line in text.split("\n"):
        part = " ".join(line.split())
        between = " " if joined.endswith((".", ":")) else "; " if part.startswith("- ") else ". "
        joined += (between if joined else "") + part.removeprefix("- ")
    return joined if joined.endswith((".", "!", "?")) else f"{joined}."

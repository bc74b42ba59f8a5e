"""What a run would do: every cell of a suite, how far it is, and what of it reference results have."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from gainbench.atomic import write_json
from gainbench.data import Dataset
from gainbench.run.layout import SUITE
from gainbench.run.reference import ReferenceCell, Use, discard, reference_cell, take
from gainbench.run.reuse import Stage, stage
from gainbench.run.status import CellStatus
from gainbench.run.store import ResolvedSuite, StoredCell, read_cell
from gainbench.spec import CellSpec, Precision


@dataclass(frozen=True)
class PlannedCell:
    """A cell, what the results root knows of it, and how far it is.

    Attributes:
        stored: what the results root knows of it.
        stage: how far it is once what is to be taken from the reference was taken.
        reference: what the reference in use has of it.
        taking: whether the run begins with taking that.
        discarding: whether what an earlier run took has to go: another reference is in use now, or none.
    """

    stored: StoredCell
    stage: Stage
    reference: ReferenceCell | None = None
    taking: bool = False
    discarding: bool = False

    @property
    def spec(self) -> CellSpec:
        """What the cell is."""
        return self.stored.spec


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        root: the results root.
        resolved: the suite with nothing left to defaults; what ``suite.json`` will hold.
        cells: every cell in the suite's order (data sets, then methods, then seeds).
        datasets: the opened data sets by name.
        reference: the folder of the reference results in use, if any are.
        use: what they are used for.
    """

    root: Path
    resolved: ResolvedSuite
    cells: list[PlannedCell]
    datasets: dict[str, Dataset]
    reference: Path | None = None
    use: Use = "use"

    @property
    def pending(self) -> list[PlannedCell]:
        """The cells that a run would start: those not done, under ``only`` just those that need no training."""
        out = {cell.spec.key for cell in self.left_out}
        return [cell for cell in self.cells if cell.stage != "done" and cell.spec.key not in out]

    @property
    def left_out(self) -> list[PlannedCell]:
        """The cells that are not done and stay so, as only those of the reference were asked for."""
        if self.use != "only":
            return []
        return [cell for cell in self.cells if cell.stage in {"new", "resume"} and cell.reference is None]

    def counts(self) -> Counter[Stage]:
        """How many cells are at which stage."""
        return Counter(cell.stage for cell in self.cells)

    def reference_sentences(self) -> list[str]:
        """What of the reference is used and what is left out for want of one, for a person."""
        weights, rows = (
            [cell for cell in self.cells if _taken_kind(cell) == kind and cell.reference is not None]
            for kind in ("weights", "rows")
        )
        sentences = []
        if weights:
            sentences.append(
                f"reference: {len(weights)} of {len(self.cells)} cells are evaluated with the committed weights in "
                f"{self.reference}, not trained (--fresh trains them)"
            )
        if rows:
            names = ", ".join(f"{cell.spec.method.label} seed {cell.spec.seed}" for cell in rows)
            sentences.append(
                f"reference: of {len(rows)} of {len(self.cells)} cells there are rows alone, taken as they are: {names}"
            )
        if self.left_out:
            names = ", ".join(f"{cell.spec.dataset} {cell.spec.method.label}" for cell in self.left_out)
            sentences.append(f"reference: not trained, as there is none of them: {names}")
        return sentences

    def save(self) -> None:
        """Write the resolved suite and the manifests into the root."""
        for dataset in self.datasets.values():
            path = self.root / "manifests" / f"{dataset.manifest.hash[:12]}.json"
            if not path.is_file():
                write_json(path, dataset.manifest.to_json())
        write_json(self.root / self.resolved.folder_name / SUITE, self.resolved.model_dump(mode="json"))

    def with_reference(self, precision: Precision) -> "Plan":
        """Take from the reference what is to be taken, and look again at those cells.

        Args:
            precision: arithmetic in which taken weights are to be evaluated; ``auto`` is that of the reference's rows.

        Raises:
            RunError: a file of the reference is damaged.
        """
        return replace(self, cells=[self._refreshed(cell, precision) for cell in self.cells])

    def _refreshed(self, cell: PlannedCell, precision: Precision) -> PlannedCell:
        if cell.taking and self.reference is not None:
            take(self.reference, cell.spec, self.root, precision=precision)
        elif cell.discarding:
            discard(cell.stored.folder)
        else:
            return cell
        return planned_cell(read_cell(self.root, cell.spec), self.reference, self.use)


def _taken_kind(cell: PlannedCell) -> str:
    if cell.taking and cell.reference is not None:
        return cell.reference.kind
    return cell.stored.taken.kind if cell.stored.taken is not None else ""


def planned_cell(stored: StoredCell, reference: Path | None = None, use: Use = "none") -> PlannedCell:
    """What a run would do about a cell.

    What was computed in the results root comes before any reference, a half-done training too.

    Raises:
        RunError: what the reference has of the cell is damaged.
    """
    entry = reference_cell(reference, stored.spec) if use != "none" else None
    discarding = stored.taken is not None and (use == "none" or (entry is not None and entry != stored.taken))
    if discarding:
        stored = StoredCell(stored.spec, stored.folder, CellStatus(), None)
    found: Stage = "new" if discarding else stage(stored)
    taking = found == "new" and entry is not None and entry.kind != "untrained"
    if taking and entry is not None:
        found = "evaluate" if entry.kind == "weights" else "done"
    return PlannedCell(stored, found, entry, taking, discarding)

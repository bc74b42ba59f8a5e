"""What training leaves to look at: one JSON line per logged step, and TensorBoard events where they are asked for."""

import json
import logging
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gainbench.atomic import write_text
from gainbench.errors import TrainingError

logger = logging.getLogger(__name__)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a training log in order; a line that was cut short by a kill or is no record is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
        else:
            logger.warning("%s: a line was cut short and is left out", path)
    return records


class TrainingLog:
    """Appends to ``training.jsonl``; on resume, records past the checkpoint are dropped first, so none stands twice.

    Args:
        path: the JSON-lines file.
        resumed_at: steps done when training goes on; records of later steps are dropped.
        tensorboard: also write TensorBoard events beside the file (needs the extra ``gainbench[tensorboard]``).
    """

    def __init__(self, path: Path, *, resumed_at: int, tensorboard: bool) -> None:
        kept = [record for record in read_log(path) if record["step"] <= resumed_at]
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        self._file = path.open("a", encoding="utf-8")
        self._events = _event_writer(path.parent / "tensorboard", resumed_at) if tensorboard else None

    def write(self, record: dict[str, Any]) -> None:
        """Append one record; it must have a ``step``."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._events is not None:
            for name, value in record.items():
                if name != "step":
                    self._events.add_scalar(name, value, record["step"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()


def _event_writer(folder: Path, resumed_at: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra that most runs do without
    except ImportError as error:
        raise TrainingError(
            "TensorBoard logging was asked for but tensorboard is not installed; pip install 'gainbench[tensorboard]'"
        ) from error
    return SummaryWriter(folder, purge_step=resumed_at + 1)

"""One exception type a floor; every message says what was expected, what was found and what to do."""


class GainbenchError(Exception):
    """Base of every error that gainbench raises for a person to read."""


class SpecError(GainbenchError):
    """A suite, scale, method string or other written specification cannot be understood."""


class AssetError(GainbenchError):
    """Weights or photographs are missing, unreachable or not what the catalogue says."""


class DataError(GainbenchError):
    """A data set or one of its pictures cannot be used."""


class MaskError(GainbenchError):
    """Holes are of the wrong polarity, size or values, or a protocol cannot draw what was asked."""


class MethodError(GainbenchError):
    """A method is unknown, broken, or does not keep its contract."""


class TrainingError(GainbenchError):
    """Training stopped: not-a-number losses, or a checkpoint that does not fit."""


class DivergedError(TrainingError):
    """A loss or gradient stopped being a finite number."""


class KilledError(TrainingError):
    """A process that shared a training was ended by a signal.

    Attributes:
        signal: its name, such as SIGKILL.
    """

    def __init__(self, message: str, signal: str) -> None:
        super().__init__(message)
        self.signal = signal


class EvaluationError(GainbenchError):
    """A metric was fed something it must refuse, or rows cannot be compared."""


class NotFiniteError(EvaluationError):
    """A method filled holes with something else than finite numbers."""


class RunError(GainbenchError):
    """A grid of cells cannot be planned, executed or read back."""


class ReportError(GainbenchError):
    """Stored results cannot be turned into tables, plots or pages."""

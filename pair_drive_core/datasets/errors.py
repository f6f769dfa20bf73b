"""What a broken or incomplete data set raises."""

from __future__ import annotations

from pathlib import Path


class DatasetError(ValueError):
    """A data set file that is missing, torn or breaks its format; the message starts with the file."""

    def __init__(self, path: Path | str, problem: str) -> None:
        """Name the file and what is wrong with it."""
        super().__init__(f"{path}: {problem}")
        self.path = Path(path)
        self.problem = problem

    def __reduce__(self) -> tuple[type[DatasetError], tuple[Path, str]]:
        """Errors travel between processes."""
        return type(self), (self.path, self.problem)


class UntrustedPickleError(DatasetError):
    """A pickle that asks for something other than numpy arrays and builtins."""


class UnknownTokenError(DatasetError):
    """A scene token that the data set does not hold."""

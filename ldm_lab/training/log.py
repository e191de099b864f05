"""The log of a run: one JSON object a line, the same after a kill and a resume as without."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ldm_lab.core.errors import CheckpointError


class RunLog:
    """Appends to ``log.jsonl``; holds nothing that depends on the clock, so that equal runs have equal logs."""

    def __init__(self, path: Path, *, size: int = 0) -> None:
        """Open a log and cut it to ``size`` bytes, the length that the checkpoint to go on from remembers.

        Raises:
            CheckpointError: If it cannot be written.
        """
        self.path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "ab")  # noqa: SIM115  # for as long as the run
            self._file.truncate(min(size, self._file.tell()))
            self._file.seek(0, os.SEEK_END)

    def write(self, record: dict[str, Any]) -> None:
        """Add one line.

        Raises:
            CheckpointError: If it cannot be written.
        """
        rounded = {name: float(f"{v:.7g}") if isinstance(v, float) else v for name, v in record.items()}
        with self._explained():
            self._file.write(json.dumps(rounded).encode() + b"\n")

    def flush(self) -> int:
        """Bring all lines to the disk and return the size of the file in bytes.

        Raises:
            CheckpointError: If it cannot be written.
        """
        with self._explained():
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Flush and close.

        Raises:
            CheckpointError: If it cannot be written.
        """
        with self._explained():
            self._file.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"cannot write {self.path}: {error.strerror}; mend that and start again, the last checkpoint is whole"
            ) from error

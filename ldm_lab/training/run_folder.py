"""The folder that a run lives in: one trainer at a time, one recipe for ever."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ldm_lab.checkpoints import read_checkpoint
from ldm_lab.core.config import differences, to_dict
from ldm_lab.core.errors import CheckpointCorruptError, CheckpointError, TrainingError
from ldm_lab.core.io import remove_leftovers
from ldm_lab.training.config import HOUSEKEEPING, TrainingConfig
from ldm_lab.training.state import newest_intact, set_aside


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make the folder and keep a second trainer out; the lock ends with the process, however that ends.

    Raises:
        TrainingError: If another process trains there, or the folder cannot be written.
    """
    lock = FileLock(folder / "train.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError(
            f"{folder} is in use by another training process; stop it or choose another folder"
        ) from error
    except OSError as error:
        raise TrainingError(f"cannot write {folder}: {error.strerror}; choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def find_checkpoint(folder: Path, *, tidy: bool) -> Path | None:
    """The newest intact checkpoint below a run's folder, or None at its very beginning.

    Args:
        folder: The run's folder.
        tidy: Whether to remove what killed writers left, to put damaged checkpoints aside, and to warn of them. Only
            one process may.

    Raises:
        CheckpointCorruptError: If there are checkpoints and every one of them is damaged.
    """
    checkpoints = folder / "checkpoints"
    newest, damaged = newest_intact(checkpoints)
    if newest is None and damaged:
        reason = next(iter(damaged.values()))
        raise CheckpointCorruptError(
            f"every checkpoint in {checkpoints} is damaged ({reason}); restore one, or start anew in another folder"
        )
    if tidy:
        for place in (folder, checkpoints):
            remove_leftovers(place)
        for path, reason in damaged.items():
            warnings.warn(f"{path.name} is damaged and put aside, an older one is used: {reason}", stacklevel=2)
            set_aside(path)
    return newest


def check_same_run(saved: dict[str, Any], *, identity: dict[str, Any], config: TrainingConfig, folder: Path) -> None:
    """Refuse to go on with another data set, network, first stage or recipe.

    How often to save and log may change, and the length of a run whose learning rate does not depend on it.

    Raises:
        TrainingError: Naming the first field that differs, with both values.
    """
    free = HOUSEKEEPING | ({"num_steps"} if config.decay == "constant" else set())
    changed = differences(saved["identity"], identity)
    for name, values in differences(saved["training"], to_dict(config)).items():
        if name not in free:
            changed[f"training.{name}"] = values
    if changed:
        name, (old, new) = next(iter(changed.items()))
        raise TrainingError(
            f"{folder} holds a run with {name}={old!r}, but now {name}={new!r} is asked for; "
            "choose another folder or the old value"
        )


def exported_steps(model: Path) -> int | None:
    """After how many steps a run wrote its model; None if there is none that is intact."""
    try:
        return read_checkpoint(model).content["recipe"]["provenance"]["steps"]
    except (CheckpointError, KeyError):
        return None

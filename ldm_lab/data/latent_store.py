"""Latents of a data set, encoded once and memory-mapped.

Stage 2 never looks at pixels, so the first stage runs over the data one single time. Mean and log-variance are kept, in
16 bits, and every visit draws a fresh latent from them: the distribution stays exact.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from ldm_lab.core.errors import CheckpointFormatError, DataError
from ldm_lab.core.io import atomic_folder, read_json, remove_leftovers, write_atomic, write_json

Moments = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LatentStore:
    """Moments of ``length`` raw latents in parts of equal size; make one with ``build_latent_store``."""

    parts: tuple[tuple[np.ndarray, np.ndarray], ...]
    part_size: int
    length: int

    def __len__(self) -> int:
        return self.length

    def moments(self, indices: Sequence[int]) -> Moments:
        """Mean and log-variance of raw latents in fp32, each (B, C, h, w)."""
        rows = [(self.parts[index // self.part_size], index % self.part_size) for index in indices]
        mean, logvar = (np.stack([part[kind][row] for part, row in rows]) for kind in (0, 1))
        return torch.from_numpy(mean).float(), torch.from_numpy(logvar).float()


def build_latent_store(
    folder: str | Path,
    encode: Callable[[Sequence[int]], Moments],
    *,
    length: int,
    identity: dict[str, Any],
    part_size: int = 2048,
    batch_size: int = 32,
    patience_sec: float = 0.0,
) -> Iterator[int]:
    """Encode what is not yet in the store, part by part; each part is whole or absent, so a killed build goes on.

    Args:
        folder: Where the store lives.
        encode: Indices → mean and log-variance of raw latents, each (B, C, h, w).
        length: Number of examples.
        identity: What the latents depend on (first stage, data, size); a store with another identity is refused.
        part_size: Examples in a file.
        batch_size: Examples encoded at once.
        patience_sec: How long to wait for another process that builds the same store; negative: for ever.

    Yields:
        The number of examples that are in the store, after each part.

    Raises:
        DataError: If the folder holds latents of something else or is being written, or a latent is not finite.
    """
    folder = Path(folder)
    with _sole_builder(folder, patience_sec):
        _claim(folder, identity | {"length": length, "part_size": part_size})
        for start in range(0, length, part_size):
            indices = range(start, min(start + part_size, length))
            path = _part_path(folder, start)
            if not path.exists():
                _write_part(path, encode, indices, batch_size=batch_size)
            yield indices.stop


def open_latent_store(folder: str | Path) -> LatentStore:
    """Open a finished store.

    Raises:
        DataError: If parts are missing or damaged.
    """
    folder = Path(folder)
    try:
        about = read_json(folder / "store.json")
    except CheckpointFormatError as error:
        raise DataError(f"{folder} is no latent store: {error}; build it first") from error
    paths = [_part_path(folder, start) for start in range(0, about["length"], about["part_size"])]
    missing = [path for path in paths if not path.is_dir()]
    if missing:
        raise DataError(
            f"the latent store {folder} lacks {len(missing)} of {len(paths)} parts; build it again to go on"
        )
    return LatentStore(tuple(_open_part(path) for path in paths), about["part_size"], about["length"])


def _write_part(path: Path, encode: Callable[[Sequence[int]], Moments], indices: range, *, batch_size: int) -> None:
    batches = [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]
    means, logvars = zip(*(encode(batch) for batch in batches), strict=True)
    arrays = {"mean": torch.cat(means).half(), "logvar": torch.cat(logvars).half()}
    for name, values in arrays.items():
        is_bad = ~torch.isfinite(values).flatten(1).all(1)
        if is_bad.any():
            raise DataError(
                f"the {name} of example {indices[int(is_bad.nonzero()[0])]} is not finite in 16 bits; "
                "its picture or the first stage is not sound"
            )
    with atomic_folder(path) as temporary:
        for name, values in arrays.items():
            write_atomic(temporary / f"{name}.npy", _npy_bytes(values))


def _npy_bytes(values: Tensor) -> bytes:
    buffer = BytesIO()
    np.save(buffer, values.numpy())
    return buffer.getvalue()


def _open_part(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        return np.load(path / "mean.npy", mmap_mode="r"), np.load(path / "logvar.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}); remove it and start again, it is encoded anew") from error


@contextmanager
def _sole_builder(folder: Path, patience_sec: float) -> Iterator[None]:
    lock = FileLock(folder / "store.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=patience_sec)
    except Timeout as error:
        raise DataError(
            f"the latent store {folder} is being built by another process; wait for it or stop it"
        ) from error
    except OSError as error:
        raise DataError(f"cannot write the latent store {folder}: {error.strerror}; choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def _claim(folder: Path, about: dict[str, Any]) -> None:
    """Write down what the store holds, or compare with what it holds already."""
    path = folder / "store.json"
    if not path.exists():
        write_json(path, about)
    remove_leftovers(folder)
    found = read_json(path)
    if found != about:
        names = sorted(name for name in found.keys() | about.keys() if found.get(name) != about.get(name))
        raise DataError(
            f"the latent store {folder} was built for another {', '.join(names)}; remove it or choose another folder"
        )


def _part_path(folder: Path, start: int) -> Path:
    return folder / f"part-{start:09d}"

"""Latents of a data set, encoded once and memory-mapped.

Stage 2 never looks at pixels, so the first stage runs over the data one single time. Mean and log-variance are kept, in
16 bits, and every visit draws a fresh latent from them: the distribution stays exact.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ldm_lab.core.errors import DataError
from ldm_lab.core.io import atomic_folder, read_json, remove_leftovers, write_json

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
) -> Iterator[int]:
    """Encode what is not yet in the store, part by part; each part is whole or absent, so a killed build goes on.

    Args:
        folder: Where the store lives.
        encode: Indices → mean and log-variance of raw latents, each (B, C, h, w).
        length: Number of examples.
        identity: What the latents depend on (first stage, data, size); a store with another identity is refused.
        part_size: Examples in a file.
        batch_size: Examples encoded at once.

    Yields:
        The number of examples that are in the store, after each part.

    Raises:
        DataError: If the folder holds latents of something else.
    """
    folder = Path(folder)
    _claim(folder, identity | {"length": length, "part_size": part_size})
    for start in range(0, length, part_size):
        stop = min(start + part_size, length)
        path = _part_path(folder, start)
        if not path.exists():
            batches = [range(i, min(i + batch_size, stop)) for i in range(start, stop, batch_size)]
            means, logvars = zip(*(encode(batch) for batch in batches), strict=True)
            with atomic_folder(path) as temporary:
                np.save(temporary / "mean.npy", torch.cat(means).half().numpy())
                np.save(temporary / "logvar.npy", torch.cat(logvars).half().numpy())
        yield stop


def open_latent_store(folder: str | Path) -> LatentStore:
    """Open a finished store.

    Raises:
        DataError: If parts are missing.
    """
    folder = Path(folder)
    about = read_json(folder / "store.json")
    paths = [_part_path(folder, start) for start in range(0, about["length"], about["part_size"])]
    missing = [path for path in paths if not path.is_dir()]
    if missing:
        raise DataError(f"the latent store {folder} lacks {len(missing)} of {len(paths)} parts; build it again to go on")
    parts = tuple(
        (np.load(path / "mean.npy", mmap_mode="r"), np.load(path / "logvar.npy", mmap_mode="r")) for path in paths
    )
    return LatentStore(parts, about["part_size"], about["length"])


def _claim(folder: Path, about: dict[str, Any]) -> None:
    """Write down what the store holds, or compare with what it holds already."""
    path = folder / "store.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
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

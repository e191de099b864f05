"""Tensors on disk: safetensors, written atomically, read within limits."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
from torch import Tensor

from ldm_lab.core.errors import CheckpointCorruptError, CheckpointFormatError
from ldm_lab.core.io import format_bytes, write_atomic

MAX_HEADER_BYTES = 10_000_000
MAX_TENSORS = 20_000
MAX_RANK = 8
_LENGTH_BYTES = 8  # a safetensors file begins with the length of its header, little-endian


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors to a safetensors file that is either whole or absent.

    Raises:
        CheckpointError: Disk full (with the bytes needed and free), read-only, or not permitted.
    """
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, safetensors.torch.save(ready))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file to the CPU; its header is checked before anything is allocated.

    Raises:
        CheckpointFormatError: If the file is missing, is not safetensors, or exceeds a limit.
        CheckpointCorruptError: If it is truncated, or header and content disagree.
    """
    path = Path(path)
    _check_header(_read_header(path), path)
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # SafetensorError, and whatever torch raises for a dtype it does not have
        raise CheckpointCorruptError(f"{path} is truncated or damaged: {error}; get the file again") from error


def _read_header(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointFormatError(f"{path} is missing or not a file")
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            _check_header_length(length, path)
            return json.loads(file.read(length), object_pairs_hook=_refuse_duplicates)
    except OSError as error:
        raise CheckpointFormatError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointCorruptError(f"{path} has a damaged header: {error}; get the file again") from error


def _check_header_length(length: int, path: Path) -> None:
    size = path.stat().st_size
    if size < _LENGTH_BYTES:
        raise CheckpointCorruptError(f"{path} is truncated: it has {size} bytes; get the file again")
    if length > MAX_HEADER_BYTES:
        limit = format_bytes(MAX_HEADER_BYTES)
        raise CheckpointFormatError(
            f"{path} is not a safetensors file, or its header is larger than {limit}; use a .safetensors file"
        )


def _check_header(header: Any, path: Path) -> None:
    if not isinstance(header, dict):
        _refuse(path, "its header is not a mapping")
    if len(header) > MAX_TENSORS:
        _refuse(path, f"it names {len(header)} tensors, at most {MAX_TENSORS} are read")
    for name, record in header.items():
        shape = record.get("shape") if isinstance(record, dict) else None
        if name != "__metadata__" and (not isinstance(shape, list) or len(shape) > MAX_RANK):
            _refuse(path, f"a tensor has no shape, or one of more than {MAX_RANK} dimensions")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise CheckpointFormatError(f"{path} cannot be read: {reason}; use a .safetensors file of this model")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found

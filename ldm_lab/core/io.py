"""Files that are either whole or absent: atomic writes, digests, manifests, strict JSON.

Everything is written beside its target, flushed to the disk and renamed into place, so that a process killed at any
moment leaves the old state or the new one. Names that start with ``LEFTOVER`` are what such a process may leave behind.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from ldm_lab.core.errors import CheckpointCorruptError, CheckpointError, CheckpointFormatError

LEFTOVER = ".tmp-"
MANIFEST = "manifest.json"
MAX_JSON_BYTES = 1_000_000
_SAFE_NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


def write_atomic(path: str | Path, data: bytes) -> None:
    """Write a file so that its old content stays whole until the new content is on the disk; its folder is made.

    Raises:
        CheckpointError: Disk full (with the bytes needed and free), read-only, or not permitted.
    """
    path = Path(path)
    temporary = _sibling(path)
    with _explain_failure(path, needed=len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that becomes ``path`` when the block ends without an error.

    Args:
        path: The folder to make; its parents are made as needed.
        replace: Take the place of an existing folder, which is otherwise an error.

    Raises:
        CheckpointError: ``path`` exists, or the disk is full or not writable. Nothing is left behind.
    """
    path = Path(path)
    if path.exists() and not replace:
        raise CheckpointError(f"{path} already exists; choose another folder or remove it first")
    temporary = _sibling(path)
    with _explain_failure(path):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            _sync_tree(temporary)
            _move_into_place(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: str | Path) -> list[Path]:
    """Delete what killed writers left in ``folder``, and return it; call it only while nobody writes there."""
    leftovers = sorted(Path(folder).glob(f"{LEFTOVER}*"))
    for path in leftovers:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return leftovers


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(
    folder: str | Path, *, names: Iterable[str] | None = None, about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Record size and SHA-256 of the files below ``folder`` in its ``manifest.json``; write it last.

    Args:
        folder: A finished folder, usually the one that ``atomic_folder`` yields.
        names: Of these files alone, such as ``"model.safetensors"``; None takes every one.
        about: JSON values to keep beside the digests, such as versions.
    """
    folder = Path(folder)
    if names is None:
        below = (file for file in folder.rglob("*") if file.is_file() and file != folder / MANIFEST)
        names = (file.relative_to(folder).as_posix() for file in below)
    files = {name: {"size": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in sorted(names)}
    content = {"about": dict(about or {}), "files": files}
    manifest = content | {"digest": _digest(content)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def verify_manifest(folder: str | Path) -> dict[str, Any]:
    """Compare every file that ``manifest.json`` names with its size and digest, and return the manifest.

    Raises:
        CheckpointCorruptError: Naming the file, what is wrong with it, and the remedy.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            _corrupt(path, "is missing")
        if not path.resolve().is_relative_to(folder.resolve()):
            _corrupt(path, "is a link that leaves its folder")
        if path.stat().st_size != expected["size"]:
            _corrupt(path, f"has {path.stat().st_size} bytes instead of {expected['size']}")
        if sha256(path) != expected["sha256"]:
            _corrupt(path, "was altered: its SHA-256 differs from the manifest")
    return manifest


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON values atomically; NaN and infinities are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomic(path, f"{text}\n".encode())


def read_json(path: str | Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Read a JSON file of at most so many bytes.

    Raises:
        CheckpointFormatError: If it is missing, too large, not UTF-8, or not accepted by ``parse_json``.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointFormatError(f"{path} is missing or not a file")
    try:
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise CheckpointFormatError(f"{path} cannot be read: {error.strerror}") from error
    return parse_json(data, source=str(path), max_bytes=max_bytes)


def parse_json(data: bytes | str, *, source: str, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Parse JSON strictly: not too long, no key twice in one object, no NaN or infinity.

    Args:
        data: The text, UTF-8 where it is bytes.
        source: What the error messages call it.
        max_bytes: Bytes, or characters where it is a string, that are accepted.

    Raises:
        CheckpointFormatError: Naming ``source`` and the reason.
    """
    if len(data) > max_bytes:
        raise CheckpointFormatError(f"{source} is larger than {format_bytes(max_bytes)}, the limit for JSON")
    try:
        return json.loads(data, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise CheckpointFormatError(f"{source} is not valid JSON: it is nested too deeply") from error
    except ValueError as error:
        raise CheckpointFormatError(f"{source} is not valid JSON: {error}") from error


def format_bytes(count: int) -> str:
    """Spell a number of bytes in decimal units: 12_300_000 becomes ``12.3 MB``."""
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} bytes"


def _sibling(path: Path) -> Path:
    """A name in the same folder, so that a rename never crosses file systems."""
    return path.parent / f"{LEFTOVER}{secrets.token_hex(8)}"


def _sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut; Windows cannot open folders and needs no such step."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            with open(Path(root, name), "rb+") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(root))


def _move_into_place(temporary: Path, path: Path) -> None:
    """Rename a finished folder; an old one is moved aside first, because only an empty one can be renamed over."""
    old = _sibling(path)
    if path.exists():
        os.rename(path, old)
    os.rename(temporary, path)
    _sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explain_failure(path: Path, *, needed: int | None = None) -> Iterator[None]:
    """Turn the operating system's refusal to write into one sentence."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(_sentence(error, path, needed)) from error


def _sentence(error: OSError, path: Path, needed: int | None) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        need = "more room is needed" if needed is None else f"need {format_bytes(needed)}"
        have = format_bytes(_free_bytes(path))
        return f"disk full: {need}, have {have} at {path}; free some space or choose another folder"
    if error.errno == errno.EROFS:
        return f"cannot write {path}: the file system is read-only; choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"cannot write {path}: permission denied; change its permissions or choose another folder"
    return f"cannot write {path}: {error.strerror or error}"


def _free_bytes(path: Path) -> int:
    nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(nearest).free


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values in canonical spelling, so that a manifest also guards itself."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = read_json(path)
    except CheckpointFormatError as error:
        raise CheckpointCorruptError(f"{error}; {_REMEDY}") from error
    if not isinstance(manifest, dict) or set(manifest) != {"about", "files", "digest"}:
        _corrupt(path, "does not have the entries about, files and digest")
    if manifest["digest"] != _digest({"about": manifest["about"], "files": manifest["files"]}):
        _corrupt(path, "was altered: its own digest differs")
    if not _are_file_records(manifest["files"]):
        _corrupt(path, "names files outside its folder or without size and sha256")
    return manifest


def _are_file_records(files: Any) -> bool:
    return isinstance(files, dict) and all(
        _SAFE_NAME.fullmatch(name)
        and ".." not in name.split("/")
        and isinstance(record, dict)
        and set(record) == {"size", "sha256"}
        for name, record in files.items()
    )


_REMEDY = "restore the folder from its source or use an earlier checkpoint"


def _corrupt(path: Path, reason: str) -> NoReturn:
    raise CheckpointCorruptError(f"{path} {reason}; {_REMEDY}")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON knows")

"""The native checkpoint folder: which files it has, and how it is written and verified.

``config.json`` says what the model is, ``model.safetensors`` holds its weights, ``tokenizer.json`` its vocabulary if it
has one, ``manifest.json`` the digests of all of them. Only these files are ever read.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ldm_lab.core.errors import CheckpointCorruptError, CheckpointFormatError, ConfigError, RequestError
from ldm_lab.core.io import MANIFEST, atomic_folder, read_json, verify_manifest, write_json, write_manifest
from ldm_lab.core.runtime import versions

FORMAT = "ldm_lab"
VERSION = 1
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"

Kind = Literal["autoencoder", "latent_diffusion"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A verified folder, before any weight is read.

    Attributes:
        folder: Where it lies.
        kind: What is in it.
        content: All of its config.json.
        digest: SHA-256 of its weights, by which runs and other checkpoints refer to it.
    """

    folder: Path
    kind: Kind
    content: Mapping[str, Any]
    digest: str

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def source(self) -> str:
        """What error messages call its config."""
        return str(self.folder / CONFIG)

    def entry(self, name: str) -> dict[str, Any]:
        """A mapping inside config.json; an absent one is empty.

        Raises:
            CheckpointFormatError: If it is not a mapping.
        """
        value = self.content.get(name, {})
        if not isinstance(value, dict):
            raise CheckpointFormatError(f"{self.source}: {name} must be a mapping, got {type(value).__name__}")
        return value


@contextmanager
def writing(folder: str | Path, *, kind: Kind, content: Mapping[str, Any], replace: bool) -> Iterator[Path]:
    """Yield a temporary folder for the weights; config and manifest are added, and all of it appears at once.

    Raises:
        CheckpointError: If ``folder`` exists and is not to be replaced, or cannot be written. Nothing is left behind.
    """
    with atomic_folder(folder, replace=replace) as temporary:
        write_json(temporary / CONFIG, {"format": FORMAT, "version": VERSION, "kind": kind, **content})
        yield temporary
        write_manifest(temporary, about={"versions": versions()})


def rewrite_config(checkpoint: Checkpoint, content: Mapping[str, Any]) -> None:
    """Give a folder another config; all its other files stay, and so does what its manifest says about them.

    A file that the manifest does not name, such as a model card, may still be edited afterwards.

    Raises:
        CheckpointError: If the folder cannot be written. Then it is as it was.
    """
    manifest = read_json(checkpoint.folder / MANIFEST)
    with atomic_folder(checkpoint.folder, replace=True) as temporary:
        shutil.copytree(checkpoint.folder, temporary, dirs_exist_ok=True)
        (temporary / MANIFEST).unlink()
        write_json(temporary / CONFIG, content)
        write_manifest(temporary, names=manifest["files"], about=manifest["about"])


def read_checkpoint(folder: str | Path, *, kind: Kind | None = None) -> Checkpoint:
    """Verify a folder against its digests and read its config.

    Args:
        folder: A native checkpoint folder.
        kind: What it has to hold; None accepts all.

    Raises:
        CheckpointFormatError: If the folder is missing, is no native checkpoint, or one of another version or kind.
        CheckpointCorruptError: If a file is missing, truncated or altered.
    """
    folder = Path(folder)
    _check_presence(folder)
    files = verify_manifest(folder)["files"]
    unlisted = [name for name in (CONFIG, WEIGHTS) if name not in files]
    if unlisted:
        raise CheckpointCorruptError(
            f"{folder / MANIFEST} does not list {unlisted[0]}; restore the folder from its source"
        )
    content = read_json(folder / CONFIG)
    _check_format(content, folder / CONFIG)
    if kind not in (None, content["kind"]):
        raise CheckpointFormatError(
            f"{folder} holds a model of kind {content['kind']!r}; one of kind {kind!r} is needed"
        )
    return Checkpoint(folder=folder, kind=content["kind"], content=content, digest=files[WEIGHTS]["sha256"])


@contextmanager
def explained(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn the complaint of a config or settings class into one that names the file."""
    try:
        yield
    except (ConfigError, RequestError) as error:
        raise CheckpointFormatError(f"{checkpoint.source}: {error}") from error


def _check_presence(folder: Path) -> None:
    if not folder.is_dir():
        raise CheckpointFormatError(f"there is no folder {folder}; check the path")
    if not (folder / CONFIG).is_file() and not (folder / MANIFEST).is_file():
        raise CheckpointFormatError(
            f"{folder} is no checkpoint: it has neither {CONFIG} nor {MANIFEST}; check the path"
        )


def _check_format(content: Any, path: Path) -> None:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointFormatError(f"{path} does not say format {FORMAT!r}; it is not a checkpoint of this package")
    version = content.get("version")
    if version != VERSION:
        raise CheckpointFormatError(
            f"{path} has version {version!r:.40}, but this ldm_lab reads version {VERSION}; "
            "install the ldm_lab that wrote it"
        )
    if content.get("kind") not in Kind.__args__:
        raise CheckpointFormatError(f"{path} has kind {content.get('kind')!r:.40}; known: {', '.join(Kind.__args__)}")

"""How a latent diffusion checkpoint refers to its first stage: by name for people, by digest for certainty."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ldm_lab.checkpoints.folder import WEIGHTS, Checkpoint, explained, read_checkpoint
from ldm_lab.checkpoints.zoo import ZOO
from ldm_lab.core.config import check, from_dict
from ldm_lab.core.errors import CheckpointError, CheckpointMismatchError
from ldm_lab.core.io import MANIFEST, read_json


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstStageReference:
    """Which autoencoder a model was trained on.

    Attributes:
        name: Name of its folder.
        digest: SHA-256 of its model.safetensors.
        path: Where else to look for it, relative to the model's folder.
    """

    name: str
    digest: str
    path: str | None = None

    def __post_init__(self) -> None:
        check(self)


def reference_to(folder: str | Path, *, path: str | None = None) -> FirstStageReference:
    """The reference to an autoencoder's folder.

    Raises:
        CheckpointError: If the folder is not a whole autoencoder checkpoint.
    """
    checkpoint = read_checkpoint(folder, kind="autoencoder")
    return FirstStageReference(name=checkpoint.name, digest=checkpoint.digest, path=path)


def reference_of(checkpoint: Checkpoint) -> FirstStageReference:
    """The reference inside a model's checkpoint.

    Raises:
        CheckpointFormatError: If there is none or it is malformed.
    """
    with explained(checkpoint):
        return from_dict(FirstStageReference, checkpoint.entry("first_stage"))


def find_first_stage(checkpoint: Checkpoint) -> Checkpoint:
    """Look for a model's autoencoder: inside its folder, at the stated path, beside it, among the shipped ones.

    Raises:
        CheckpointMismatchError: If it is nowhere, or only with other weights.
    """
    reference = reference_of(checkpoint)
    places = list(_places(checkpoint.folder, reference))
    for place in places:
        if _stated_digest(place) == reference.digest:
            return read_checkpoint(place, kind="autoencoder")
    namesake = next((place for place in places if place.name == reference.name and _stated_digest(place)), None)
    found = f"; {namesake} has other weights" if namesake else ""
    raise CheckpointMismatchError(
        f"{checkpoint.folder} needs the first stage {reference.name!r:.80} with digest {reference.digest:.12}…{found}; "
        f"put its folder into {checkpoint.folder / 'first_stage'} or beside the model"
    )


def _places(folder: Path, reference: FirstStageReference) -> Iterator[Path]:
    yield folder / "first_stage"
    if reference.path is not None:
        yield folder / reference.path
    yield from sorted(path.parent for path in folder.resolve().parent.glob(f"*/{MANIFEST}"))
    yield from sorted(path.parent for path in ZOO.glob(f"*/{MANIFEST}"))


def _stated_digest(folder: Path) -> str | None:
    """What a folder's manifest says about its weights; the folder is verified before any of it is used."""
    try:
        return read_json(folder / MANIFEST)["files"][WEIGHTS]["sha256"]
    except (CheckpointError, KeyError, TypeError):
        return None

"""What training asks of any data set, and how a recipe names one."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from ldm_lab.core.config import check, setting, to_dict
from ldm_lab.core.errors import ConfigError, DataError
from ldm_lab.data.folders import ImageFolder
from ldm_lab.data.shape_scenes import ShapeScenes

ConditionKind = Literal["none", "caption", "class"]


class ImageSource(Protocol):
    """Images and what is said about them, by index."""

    def images(self, indices: Iterable[int]) -> Tensor:
        """Images in [-1, 1]. (B, 3, size, size)"""

    def captions(self, indices: Iterable[int], *, variant: int = 0) -> Sequence[Any]:
        """A caption of each image; another variant may phrase it anew."""

    def labels(self, indices: Iterable[int]) -> Sequence[int | None]:
        """The class of each image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which images: a folder of yours, or the built-in shape scenes."""

    path: str | None = setting(None, help="Folder with class folders or metadata.jsonl; None: built-in shape scenes")
    size: int = setting(64, help="Side of the images in pixels", minimum=8, maximum=2048)
    crop: int | None = setting(
        None, help="Stage 1: train on square windows of this side with the most detail", minimum=8
    )
    flip: bool = setting(False, help="Add the mirror image of every picture; not for captions that say left or right")
    seed: int = setting(0, help="Seed of the built-in scenes", minimum=0, maximum=2**32 - 1)

    def __post_init__(self) -> None:
        check(self)
        if self.flip and self.path is None:
            raise ConfigError(
                "flip is True, but the captions of the built-in scenes say left and right; leave it False"
            )


@dataclass(frozen=True, slots=True)
class Mirrored:
    """The pictures of a folder, then all of them once more with left and right exchanged."""

    folder: ImageFolder

    def __len__(self) -> int:
        return 2 * len(self.folder)

    def images(self, indices: Iterable[int]) -> Tensor:
        """Images in [-1, 1]. (B, 3, size, size)"""
        indices = list(indices)
        x = self.folder.images(self._plain(indices))
        is_mirrored = torch.tensor([index >= len(self.folder) for index in indices])
        return torch.where(is_mirrored[:, None, None, None], x.flip(-1), x)

    def captions(self, indices: Iterable[int], *, variant: int = 0) -> list[str]:
        """Captions are those of the picture as it was."""
        return self.folder.captions(self._plain(indices), variant=variant)

    def labels(self, indices: Iterable[int]) -> list[int | None]:
        """A mirror image is of the same class."""
        return self.folder.labels(self._plain(indices))

    def _plain(self, indices: Iterable[int]) -> list[int]:
        return [index % len(self.folder) for index in indices]


def open_source(config: DataConfig) -> ImageSource:
    """The data set that a config names.

    Raises:
        DataError: If the folder is missing, empty or damaged.
    """
    if config.path is None:
        return ShapeScenes(seed=config.seed, size=config.size)
    folder = ImageFolder(config.path, size=config.size)
    return Mirrored(folder) if config.flip else folder


def source_length(source: ImageSource) -> int | None:
    """Number of examples; None for an endless data set."""
    return None if isinstance(source, ShapeScenes) else len(source)  # type: ignore[arg-type]


def source_identity(config: DataConfig, source: ImageSource) -> dict[str, Any]:
    """JSON values by which a run knows its data again: for a folder what is in it, not where it is."""
    identity = to_dict(config) | {"length": source_length(source)}
    folder = _folder_of(source)
    return identity if folder is None else identity | {"path": None, "pictures": _digest(folder)}


def known_condition(source: ImageSource) -> ConditionKind:
    """What a data set says about its images."""
    folder = _folder_of(source)
    if folder is None or folder.has_captions:
        return "caption"
    return "none" if folder.class_names is None else "class"


def class_names(source: ImageSource) -> tuple[str, ...] | None:
    """Names of the classes in the order of their labels; None where there are no class folders."""
    folder = _folder_of(source)
    return None if folder is None else folder.class_names


def conditions(source: ImageSource, indices: Sequence[int], *, kind: ConditionKind, variant: int = 0) -> list[Any]:
    """Raw conditions y of some examples.

    Raises:
        DataError: If the data set does not have that kind.
    """
    if kind == "none":
        return [None] * len(indices)
    if kind == "caption":
        return [str(caption) for caption in source.captions(indices, variant=variant)]
    if isinstance(source, ShapeScenes):
        raise DataError("the built-in scenes are described by captions, not by classes; choose a text conditioner")
    return list(source.labels(indices))


def caption_corpus(source: ImageSource, indices: Sequence[int]) -> list[str]:
    """Every caption of some examples, all variants of a folder's included: what a tokenizer learns from.

    Raises:
        DataError: If the data set has no captions.
    """
    captions = conditions(source, indices, kind="caption")
    folder = _folder_of(source)
    if folder is None:
        return captions
    return [caption for index in indices for caption in folder.examples[index % len(folder)].captions]


def _folder_of(source: ImageSource) -> ImageFolder | None:
    source = source.folder if isinstance(source, Mirrored) else source
    return source if isinstance(source, ImageFolder) else None


def _digest(folder: ImageFolder) -> str:
    """SHA-256 over names, sizes and what is said of every picture: cheap, and it notices pictures that come and go."""
    digest = hashlib.sha256()
    for example in folder.examples:
        size = (folder.path / example.name).stat().st_size
        digest.update(repr((example.name, size, example.label, example.captions)).encode())
    return digest.hexdigest()

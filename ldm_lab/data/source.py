"""What training asks of any data set, and how a recipe names one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import DataError
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
    crop: int | None = setting(None, help="Stage 1: train on square windows of this side with the most detail", minimum=8)
    flip: bool = setting(False, help="Mirror images of a folder at random; not for captions that say left or right")
    seed: int = setting(0, help="Seed of the built-in scenes and of the flips", minimum=0, maximum=2**32 - 1)

    def __post_init__(self) -> None:
        check(self)


def open_source(config: DataConfig) -> ImageSource:
    """The data set that a config names.

    Raises:
        DataError: If the folder is missing, empty or damaged.
    """
    if config.path is None:
        return ShapeScenes(seed=config.seed, size=config.size)
    return ImageFolder(config.path, size=config.size, flip=config.flip, seed=config.seed)


def source_length(source: ImageSource) -> int | None:
    """Number of examples; None for an endless data set."""
    return len(source) if isinstance(source, ImageFolder) else None


def conditions(source: ImageSource, indices: Sequence[int], *, kind: ConditionKind, variant: int = 0) -> list[Any]:
    """Raw conditions y of some examples.

    Raises:
        DataError: If the data set does not have that kind.
    """
    if kind == "none":
        return [None] * len(indices)
    if kind == "caption":
        return [str(caption) for caption in source.captions(indices, variant=variant)]
    labels = list(source.labels(indices))
    if any(label is None for label in labels):
        raise DataError("class conditions are asked for, but the pictures are not in class folders; sort them into one a class")
    return labels

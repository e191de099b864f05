"""What training asks of any data set, and how a recipe names one."""

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from ldm_lab.core.config import check, setting, to_dict
from ldm_lab.core.errors import ConfigError
from ldm_lab.core.layout import Layout
from ldm_lab.core.masks import MaskedPicture
from ldm_lab.core.seeding import derive_seed
from ldm_lab.data.annotations import mirrored_layout
from ldm_lab.data.degradations import Degradation, bicubic, practical
from ldm_lab.data.draws import shuffled
from ldm_lab.data.emoji import EmojiDrawings
from ldm_lab.data.emoji_catalogue import open_catalogue
from ldm_lab.data.emoji_files import find_emoji_files
from ldm_lab.data.folders import ImageFolder
from ldm_lab.data.masks import random_mask
from ldm_lab.data.scenes import CLASS_NAMES, COLORS, MAP_CLASS_NAMES, SHAPES
from ldm_lab.data.shape_scenes import ShapeScenes

World = Literal["shapes", "emoji"]
ConditionKind = Literal["none", "caption", "class", "layout", "semantic", "low-resolution", "masked"]


class ImageSource(Protocol):
    """Images and what is said about them, by index."""

    def images(self, indices: Iterable[int]) -> Tensor:
        """Images in [-1, 1]. (B, 3, size, size)"""

    def captions(self, indices: Iterable[int], *, variant: int = 0) -> Sequence[Any]:
        """A caption of each image; another variant may phrase it anew."""

    def labels(self, indices: Iterable[int]) -> Sequence[int | None]:
        """The class of each image."""

    def layouts(self, indices: Iterable[int]) -> Sequence[Layout]:
        """What is where in each image."""

    def maps(self, indices: Iterable[int]) -> Sequence[Tensor]:
        """The class of every pixel of each image. (H, W)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which images: a folder of yours, or one of the worlds that the package draws itself."""

    path: str | None = setting(
        None,
        help="Folder with class folders or metadata.jsonl; of emoji, with the font and its lists; None: a world",
    )
    world: World = setting("shapes", help="Built-in scenes of shapes, or the drawings of an emoji font")
    size: int = setting(64, help="Side of the images in pixels", minimum=8, maximum=2048)
    crop: int | None = setting(
        None, help="Stage 1: train on square windows of this side with the most detail", minimum=8
    )
    flip: bool = setting(False, help="Add the mirror image of every picture; not for captions that say left or right")
    seed: int = setting(
        0, help="Seed of the built-in scenes, and of what varies among the emoji", minimum=0, maximum=2**32 - 1
    )
    complete_captions: float = setting(
        0.0,
        help="Share of the captions of scenes that mention everything; others are as they are",
        minimum=0.0,
        maximum=1.0,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.flip and self.world == "emoji":
            raise ConfigError(
                "flip is True, but emoji are mirrored by a rule, where the mirror image is as good; leave it False"
            )
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
        is_mirrored = torch.tensor([self._is_mirrored(index) for index in indices])
        return torch.where(is_mirrored[:, None, None, None], x.flip(-1), x)

    def captions(self, indices: Iterable[int], *, variant: int = 0) -> list[str]:
        """Captions are those of the picture as it was."""
        return self.folder.captions(self._plain(indices), variant=variant)

    def labels(self, indices: Iterable[int]) -> list[int | None]:
        """A mirror image is of the same class."""
        return self.folder.labels(self._plain(indices))

    def layouts(self, indices: Iterable[int]) -> list[Layout]:
        """Boxes are mirrored with their picture."""
        indices = list(indices)
        layouts = self.folder.layouts(self._plain(indices))
        return [
            mirrored_layout(layout) if self._is_mirrored(i) else layout
            for i, layout in zip(indices, layouts, strict=True)
        ]

    def maps(self, indices: Iterable[int]) -> list[Tensor]:
        """Maps are mirrored with their picture."""
        indices = list(indices)
        return self._mirror(indices, self.folder.maps(self._plain(indices)))

    def masks(self, indices: Iterable[int]) -> list[Tensor]:
        """Masks are mirrored with their picture."""
        indices = list(indices)
        return self._mirror(indices, self.folder.masks(self._plain(indices)))

    def _mirror(self, indices: Sequence[int], tensors: Sequence[Tensor]) -> list[Tensor]:
        return [x.flip(-1) if self._is_mirrored(i) else x for i, x in zip(indices, tensors, strict=True)]

    def _is_mirrored(self, index: int) -> bool:
        return index >= len(self.folder)

    def _plain(self, indices: Iterable[int]) -> list[int]:
        return [index % len(self.folder) for index in indices]


def open_source(config: DataConfig) -> ImageSource:
    """The data set that a config names.

    Raises:
        DataError: If the folder is missing, empty or damaged.
        MissingDependencyError: If a file that the emoji need is missing.
    """
    if config.world == "emoji":
        catalogue = open_catalogue(find_emoji_files(config.path))
        return EmojiDrawings(size=config.size, seed=config.seed, catalogue=catalogue)
    if config.path is None:
        return ShapeScenes(seed=config.seed, size=config.size, complete_captions=config.complete_captions)
    folder = ImageFolder(config.path, size=config.size)
    return Mirrored(folder) if config.flip else folder


def source_length(source: ImageSource) -> int | None:
    """Number of examples; None for an endless data set."""
    return None if isinstance(source, ShapeScenes | EmojiDrawings) else len(source)  # type: ignore[arg-type]


def held_out_source(config: DataConfig) -> ImageSource:
    """What no training on a built-in world has seen: test scenes, or the emoji that are held out; a folder as it is.

    Raises:
        DataError, MissingDependencyError: As ``open_source`` does.
    """
    if config.world == "emoji":
        catalogue = open_catalogue(find_emoji_files(config.path))
        return EmojiDrawings(split="held-out", size=config.size, catalogue=catalogue)
    return ShapeScenes(split="test", size=config.size) if config.path is None else open_source(config)


def num_distinct(source: ImageSource) -> int | None:
    """Number of pictures before any is seen twice; None where there is no end."""
    return source.num_drawings if isinstance(source, EmojiDrawings) else source_length(source)


def source_identity(config: DataConfig, source: ImageSource) -> dict[str, Any]:
    """JSON values by which a run knows its data again: for files what is in them, not where they are."""
    identity = to_dict(config) | {"length": source_length(source)}
    if isinstance(source, EmojiDrawings):
        return identity | {"path": None, "files": dict(source.catalogue.digests), "drawings": _digest_of_names(source)}
    del identity["world"]  # runs are older than this word; what they know of the shapes and of folders stays the same
    folder = _folder_of(source)
    return identity if folder is None else identity | {"path": None, "pictures": _digest(folder)}


def known_condition(source: ImageSource) -> ConditionKind:
    """What a data set says about its images; captions before classes before boxes before maps."""
    folder = _folder_of(source)
    if folder is None or folder.has_captions:
        return "caption"
    if folder.class_names is not None:
        return "class"
    if folder.has_boxes:
        return "layout"
    return "none" if folder.num_map_classes is None else "semantic"


def class_names(source: ImageSource) -> tuple[str, ...] | None:
    """Names of the classes in the order of their labels; None where there are no classes."""
    if isinstance(source, EmojiDrawings):
        return source.class_names
    folder = _folder_of(source)
    return CLASS_NAMES if folder is None else folder.class_names


def map_class_names(source: ImageSource) -> tuple[str, ...] | None:
    """Names of the classes of semantic maps, numbers for those of a folder; None where there are no maps."""
    folder = _folder_of(source)
    if folder is None:
        return MAP_CLASS_NAMES if isinstance(source, ShapeScenes) else None
    return None if folder.num_map_classes is None else tuple(map(str, range(folder.num_map_classes)))


def vocabularies(source: ImageSource) -> tuple[tuple[str, ...], ...] | None:
    """Words that objects of layouts are called by, first, second … of each; None where there are none."""
    folder = _folder_of(source)
    if folder is None:
        return (SHAPES, tuple(COLORS)) if isinstance(source, ShapeScenes) else None
    if not folder.has_boxes:
        return None
    names = [item.names for layout in folder.layouts(range(len(folder))) for item in layout]
    return tuple(tuple(sorted(set(words))) for words in zip(*names, strict=True)) or None


def largest_layout(source: ImageSource) -> int:
    """Most objects of one layout, at least 1."""
    folder = _folder_of(source)
    if folder is None:
        return 2 if isinstance(source, ShapeScenes) else 1
    return max(1, *map(len, folder.layouts(range(len(folder)))))


def conditions(
    source: ImageSource,
    indices: Sequence[int],
    *,
    kind: ConditionKind,
    variant: int = 0,
    factor: int = 4,
    degradation: Degradation = "bicubic",
) -> list[Any]:
    """Raw conditions y of some examples; see ``ldm_lab.conditioning`` for what each kind is.

    Args:
        source: The data set.
        indices: Which examples.
        kind: Which kind.
        variant: Another one (an epoch, say) phrases captions, orders the objects of layouts, and draws masks and
            degradations anew.
        factor: How many times smaller low-resolution images are.
        degradation: How they are made.

    Raises:
        DataError: If the data set does not have that kind.
        ConfigError: If there is no such kind.
    """
    if kind == "none":
        return [None] * len(indices)
    if kind == "caption":
        return [str(caption) for caption in source.captions(indices, variant=variant)]
    if kind == "class":
        return list(source.labels(indices))
    if kind == "layout":
        return _layouts(source, indices, variant=variant)
    if kind == "semantic":
        return list(source.maps(indices))
    if kind == "low-resolution":
        return _low_resolution(source, indices, variant=variant, factor=factor, degradation=degradation)
    if kind == "masked":
        return _masked(source, indices, variant=variant)
    raise ConfigError(f"there is no kind of condition {kind!r}; choose one of {', '.join(get_args(ConditionKind))}")


def _layouts(source: ImageSource, indices: Sequence[int], *, variant: int) -> list[Layout]:
    """Each layout in an order of its own: a model that sees them all learns that the order says nothing."""
    rngs = [random.Random(derive_seed("layout", index, variant)) for index in indices]
    return [tuple(shuffled(rng, layout)) for rng, layout in zip(rngs, source.layouts(indices), strict=True)]


def _low_resolution(
    source: ImageSource, indices: Sequence[int], *, variant: int, factor: int, degradation: Degradation
) -> list[Tensor]:
    """Each image made smaller. (3, H/factor, W/factor)"""
    x = source.images(indices)
    if degradation == "bicubic":
        return list(bicubic(x, factor=factor))
    seeds = [derive_seed("low-resolution", index, variant) for index in indices]
    return [practical(image, seed=seed, factor=factor) for image, seed in zip(x, seeds, strict=True)]


def _masked(source: ImageSource, indices: Sequence[int], *, variant: int) -> list[MaskedPicture]:
    """Each image with its own mask, or with a drawn one where the data set has none."""
    x, folder = source.images(indices), _folder_of(source)
    if folder is not None and folder.has_masks:
        masks = source.masks(indices)  # type: ignore[attr-defined]
    else:
        height, width = x.shape[-2:]
        masks = [random_mask(width, height, seed=derive_seed("masked", index, variant)) for index in indices]
    return [MaskedPicture(image, mask) for image, mask in zip(x, masks, strict=True)]


def caption_corpus(source: ImageSource, indices: Sequence[int]) -> list[str]:
    """Every caption of some examples, or at least every word of them: what a tokenizer learns from.

    Raises:
        DataError: If the data set has no captions.
    """
    if isinstance(source, EmojiDrawings):
        return source.corpus(indices)
    captions = conditions(source, indices, kind="caption")
    folder = _folder_of(source)
    if folder is None:
        return captions
    return [caption for index in indices for caption in folder.examples[index % len(folder)].captions]


def _folder_of(source: ImageSource) -> ImageFolder | None:
    source = source.folder if isinstance(source, Mirrored) else source
    return source if isinstance(source, ImageFolder) else None


def _digest_of_names(source: EmojiDrawings) -> str:
    """SHA-256 over the names of the drawings in their order, which files and the rule of what is held out decide."""
    names = [emoji.name for emoji in source.emoji(range(source.num_drawings))]
    return hashlib.sha256(repr(names).encode()).hexdigest()


def _digest(folder: ImageFolder) -> str:
    """SHA-256 over names, sizes and what is said of every picture: cheap, and it notices pictures that come and go."""
    digest = hashlib.sha256()
    for example in folder.examples:
        size = (folder.path / example.name).stat().st_size
        digest.update(repr((example.name, size, example.label, example.captions)).encode())
        files = [name for name in (example.map_name, example.mask_name) if name is not None]
        if files or example.boxes is not None:
            sizes = [(folder.path / name).stat().st_size for name in files]
            digest.update(repr((example.boxes, files, sizes)).encode())
    return digest.hexdigest()

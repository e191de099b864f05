"""Read a scene back from pixels by rules: colours, connected components, and comparison with the closed forms.

Nothing here is learned. The background is the median of the border; what is nearer to an object colour than to it is
object. Each connected component gets a soft mask (how far its pixels lie on the way from the background to its colour),
whose area and centroid give the pose of every candidate shape without a search, so that only the rotation is tried out;
the candidate with the best overlap (soft intersection over union) wins. What is unclear is read as None, never guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import interpolate

from ldm_lab.core.errors import ShapeError
from ldm_lab.data.scenes import (
    BACKGROUNDS,
    CANVAS,
    COLORS,
    Scene,
    SceneObject,
    palette,
    place_word,
    relation_word,
    size_word,
)
from ldm_lab.data.silhouettes import SILHOUETTES, signed_distance

MIN_IOU = {  # what true shapes keep under a Gaussian blur of 0.9 pixels; below, the outline is none of the eight shapes
    "circle": 0.92,
    "square": 0.90,
    "triangle": 0.86,
    "star": 0.82,
    "heart": 0.90,
    "cross": 0.86,
    "ring": 0.84,
    "diamond": 0.86,
}
MAX_COLOR_ERROR = 0.3  # Euclidean in [-1, 1]; the nearest two colours are 0.8 apart
MAX_IMPURITY = 0.6  # a pixel further from any mixture of background and object colour is not part of the object
MIN_AREA, MAX_SPECKS = 12, 10  # pixels; smaller components are specks, of which a clean image has few
MAX_OBJECTS = 4  # of a crowded image only the largest are read

_SIZE = int(CANVAS)
_WINDOW = 36  # pixels around an object; the largest is 30 wide
_BLEND = 0.7  # blur leaves thin shapes with at least this share of their colour
_STEEPNESS = 2.0  # edges are drawn and read this much steeper than analytic coverage, which undoes mild blur
_BATCH = 64
_ROTATIONS = torch.tensor([0.0, -7.0, 7.0, -14.0, 14.0])  # degrees
_ROUND = ("circle", "ring")  # look the same in every rotation
_REFINEMENTS = torch.cartesian_prod(torch.tensor([-3.0, 0.0, 3.0]), torch.tensor([0.95, 1.0, 1.05]))  # rotation, radius


@dataclass(frozen=True, slots=True)
class ReadObject:
    """One object as seen: centre and radius in canvas units, rotation in degrees; unclear shape or colour is None."""

    shape: str | None
    color: str | None
    x: float
    y: float
    radius: float
    rotation: float
    iou: float  # overlap with the best of the eight shapes, in [0, 1]
    color_error: float  # distance from the nearest colour of the palette, in [-1, 1] units

    @property
    def size(self) -> str:
        """``small`` or ``large``."""
        return size_word(self.radius)

    @property
    def place(self) -> str:
        """Cell in the 3 x 3 raster."""
        return place_word(self.x, self.y)


@dataclass(frozen=True, slots=True)
class Reading:
    """What an image shows: up to ``MAX_OBJECTS`` objects, the largest first; an unclear background is None."""

    objects: tuple[ReadObject, ...]
    background: str | None
    specks: int  # pixels of foreground that belong to no object

    @property
    def valid(self) -> bool:
        """One or two objects of known shape and colour on a known background, and nothing else."""
        clear = all(item.shape is not None and item.color is not None for item in self.objects)
        return clear and len(self.objects) in (1, 2) and self.background is not None and self.specks <= MAX_SPECKS

    @property
    def scene(self) -> Scene:
        """The scene that the clear objects make, to be drawn or described anew; an unclear background counts as white.

        The largest object comes first, so that it is drawn first.
        """
        clear = (item for item in self.objects if item.shape is not None and item.color is not None)
        poses = (SceneObject(item.shape, item.color, item.x, item.y, item.radius, item.rotation) for item in clear)
        return Scene(tuple(poses), background=self.background or "white")

    @property
    def relation(self) -> str | None:
        """How the first of two objects lies to the second."""
        return relation_word(self.objects[0], self.objects[1]) if len(self.objects) == 2 else None


@dataclass(frozen=True, slots=True)
class _Blob:
    """One connected component: its soft mask, and the palette colour that explains it."""

    mask: np.ndarray  # (36, 36) in [0, 1], a window around the component
    corner: tuple[int, int]  # x and y of the upper left corner of the window in the image
    color: str
    color_error: float


def read_scenes(x: Tensor) -> list[Reading]:
    """Read images of scenes.

    Args:
        x: Square images in [-1, 1]; other sizes than 64 are resized. (B, 3, H, H)

    Raises:
        ShapeError: If ``x`` is not a batch of square RGB images.
    """
    if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] != x.shape[3]:
        raise ShapeError(f"images have shape {tuple(x.shape)}; the scene reader takes square RGB images (B, 3, H, H)")
    x = x.detach().float().cpu()
    if x.shape[2] != _SIZE:
        x = interpolate(x, size=(_SIZE, _SIZE), mode="bilinear", antialias=True)
    return [reading for batch in x.split(_BATCH) for reading in _read_batch(batch)]


def _read_batch(x: Tensor) -> list[Reading]:
    background = _border_median(x)  # (B, 3, 1, 1)
    foreground = _foreground(x, background).numpy()  # (B, 64, 64)
    found = [_find_blobs(*parts) for parts in zip(x.numpy(), background.numpy(), foreground, strict=True)]
    objects = iter(_fit_objects([blob for blobs, _ in found for blob in blobs]))
    return [
        Reading(tuple(next(objects) for _ in blobs), _background_word(color), specks)
        for (blobs, specks), color in zip(found, background, strict=True)
    ]


def _border_median(x: Tensor) -> Tensor:
    """Median colour of the outermost two pixels, which no object can dominate. (B, 3, 1, 1)"""
    rows, columns = torch.cat([x[:, :, :2], x[:, :, -2:]], 2), torch.cat([x[..., :2], x[..., -2:]], 3)
    return torch.cat([rows.flatten(2), columns.flatten(2)], 2).median(2).values[:, :, None, None]


def _foreground(x: Tensor, background: Tensor) -> Tensor:
    """Pixels that are nearer to some object colour than to the background. bool (B, 64, 64)"""
    to_color = (x[:, None] - _paints()).square().sum(2).amin(1)  # (B, 64, 64)
    return to_color < (x - background).square().sum(1)


@cache
def _paints() -> Tensor:
    """The object colours. (8, 3, 1, 1)"""
    return palette(list(COLORS.values()))


def _background_word(color: Tensor) -> str | None:
    distances = (palette(list(BACKGROUNDS.values())) - color).norm(dim=1).flatten()
    return list(BACKGROUNDS)[int(distances.argmin())] if distances.min() < MAX_COLOR_ERROR else None


def _find_blobs(x: np.ndarray, background: np.ndarray, foreground: np.ndarray) -> tuple[list[_Blob], int]:
    """Split the foreground into components, largest first, and count the pixels of those too small to be an object."""
    labels, count = ndimage.label(foreground, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    chosen = [1 + int(i) for i in np.argsort(-areas, kind="stable") if areas[i] >= MIN_AREA][:MAX_OBJECTS]
    specks = int(areas.sum() - areas[[label - 1 for label in chosen]].sum())
    return [_explain(x, background, labels == label, foreground) for label in chosen], specks


def _explain(x: np.ndarray, background: np.ndarray, component: np.ndarray, foreground: np.ndarray) -> _Blob:
    """Name the colour of a component and measure how much of it each pixel around the component carries."""
    offsets = x - background  # (3, 64, 64)
    inside = offsets[:, component]  # (3, n)
    strength = np.square(inside).sum(0)
    core = inside[:, strength >= np.sort(strength)[int(0.6 * len(strength))]].mean(1)  # pixels without background
    paints = _paints().numpy()[:, :, 0, 0] - background[:, 0, 0]  # (8, 3)
    share = np.clip(paints @ core / np.square(paints).sum(1), _BLEND, 1)
    errors = np.linalg.norm(core - share[:, None] * paints, axis=1)
    best = int(errors.argmin())
    alpha = np.tensordot(paints[best], offsets, 1) / np.square(paints[best]).sum()  # (64, 64)
    impurity = np.linalg.norm(offsets - alpha * paints[best][:, None, None], axis=0)  # (64, 64)
    others = ndimage.maximum_filter(foreground & ~component, size=3) & ~component
    region = ndimage.maximum_filter(component, size=5) & ~others  # with the faint pixels around the component
    region &= impurity < MAX_IMPURITY
    sharp = ((alpha - 0.5) * _STEEPNESS + 0.5).clip(0, 1)
    corner = tuple(round(float(axis.mean())) - _WINDOW // 2 for axis in component.nonzero()[::-1])
    return _Blob(_cut_window(np.where(region, sharp, 0), *corner), corner, list(COLORS)[best], float(errors[best]))


def _cut_window(mask: np.ndarray, x: int, y: int) -> np.ndarray:
    """The window of a mask whose upper left corner is (x, y), with zeros beyond the border. (36, 36)"""
    half = _WINDOW // 2
    return np.pad(mask, half)[y + half :, x + half :][:_WINDOW, :_WINDOW]


def _fit_objects(blobs: Sequence[_Blob]) -> list[ReadObject]:
    """Compare every soft mask with all shapes in all rotations and keep the best."""
    if not blobs:
        return []
    masks = torch.from_numpy(np.stack([blob.mask for blob in blobs])).float()  # (N, 36, 36)
    fits = {shape: _fit_shape(shape, masks) for shape in SILHOUETTES}
    winners = torch.stack([iou for _, iou in fits.values()]).argmax(0).tolist()  # (N,)
    shapes = [list(fits)[winner] for winner in winners]
    poses = [fits[shape][0][i] for i, shape in enumerate(shapes)]
    return [_describe(*parts) for parts in zip(blobs, masks, shapes, poses, strict=True)]


def _describe(blob: _Blob, mask: Tensor, shape: str, pose: Tensor) -> ReadObject:
    """Refine the pose of the winning shape and say what is clear enough."""
    (x, y, radius, rotation), iou = _refine(shape, mask, pose)
    return ReadObject(
        shape=shape if iou >= MIN_IOU[shape] else None,
        color=blob.color if blob.color_error < MAX_COLOR_ERROR else None,
        x=x + blob.corner[0],
        y=y + blob.corner[1],
        radius=radius,
        rotation=rotation,
        iou=iou,
        color_error=blob.color_error,
    )


def _fit_shape(shape: str, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Best pose of one shape for each mask, from the area and centroid of the mask and a scan over rotations.

    Returns:
        Pose: centre x, y, radius in window pixels, rotation in degrees. (N, 4)
        Overlap with the mask. (N,)
    """
    area, centre_x, centre_y = _moments(masks)  # 3 of (N,)
    unit_area, unit_centroid = _unit_moments(shape)
    rotations = _ROTATIONS[:1] if shape in _ROUND else _ROTATIONS  # (R,)
    radius = (area / unit_area).sqrt()[:, None].expand(-1, len(rotations))
    sine, cosine = torch.sin(torch.deg2rad(rotations)), torch.cos(torch.deg2rad(rotations))
    x, y = centre_x[:, None] - radius * unit_centroid * sine, centre_y[:, None] + radius * unit_centroid * cosine
    poses = torch.stack([x, y, radius, rotations.expand_as(radius)], 2)  # (N, R, 4)
    iou = _overlap(shape, poses, masks)  # (N, R)
    best = iou.argmax(1)
    return poses[torch.arange(len(best)), best], iou.amax(1)


def _refine(shape: str, mask: Tensor, pose: Tensor) -> tuple[list[float], float]:
    """Try the neighbours of a pose in rotation and radius."""
    poses = pose.repeat(len(_REFINEMENTS), 1)  # (K, 4)
    poses[:, 3] += _REFINEMENTS[:, 0]
    poses[:, 2] *= _REFINEMENTS[:, 1]
    iou = _overlap(shape, poses[None], mask[None])[0]  # (K,)
    return poses[iou.argmax()].tolist(), float(iou.amax())


def _overlap(shape: str, poses: Tensor, masks: Tensor) -> Tensor:
    """Soft intersection over union of masks (N, 36, 36) with a shape in several poses (N, K, 4). (N, K)"""
    distance = signed_distance(shape, poses.flatten(0, 1), _WINDOW, canvas=float(_WINDOW))
    drawn = _coverage(distance).unflatten(0, poses.shape[:2])  # (N, K, 36, 36)
    target = masks[:, None].expand_as(drawn)
    return torch.minimum(drawn, target).sum((2, 3)) / torch.maximum(drawn, target).sum((2, 3)).clamp(min=1)


def _coverage(distance: Tensor) -> Tensor:
    return (0.5 - _STEEPNESS * distance).clamp(0, 1)


def _moments(masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Area and centroid (x, y) of soft masks, in pixels. 3 of (N,)"""
    pixels = torch.arange(masks.shape[1]) + 0.5
    area = masks.sum((1, 2)).clamp(min=1)  # an empty mask fits nothing
    return area, (masks.sum(1) * pixels).sum(1) / area, (masks.sum(2) * pixels).sum(1) / area


@cache
def _unit_moments(shape: str) -> tuple[float, float]:
    """Area of a shape of radius 1, and how far its centroid lies above its centre."""
    grid, radius = 512, 250.0
    pose = torch.tensor([[grid / 2, grid / 2, radius, 0.0]])
    area, _, y = _moments(_coverage(signed_distance(shape, pose, grid, canvas=float(grid))))
    return float(area) / radius**2, (grid / 2 - float(y)) / radius

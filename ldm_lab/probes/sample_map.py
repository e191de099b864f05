"""Many latents on a plane: like ones lie near each other, and what lies between them can be asked for."""

import importlib.util
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ldm_lab.core.errors import MissingDependencyError, RequestError, ShapeError

Method = Literal["pca", "umap"]
MAX_SAMPLES = 5000
ROWS = 500
FAR = 3.0  # median distances of nearest neighbours; beyond it a blend says little of what is there


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """A latent made of the samples around a place of the map.

    Attributes:
        z: Their mean, weighted by 1 / distance². (C, h, w)
        neighbours: Which samples, nearest first.
        weights: Of each; they sum to 1.
        distance: Of the nearest sample, where 1 is the median distance between a sample and its nearest.
        spread: Standard deviation of the blend, relative to that of its samples: means are flatter than what they are
            made of, and below about 0.8 the decoder shows it.
    """

    z: Tensor
    neighbours: tuple[int, ...]
    weights: tuple[float, ...]
    distance: float
    spread: float

    @property
    def is_far(self) -> bool:
        """Whether no sample is near, so that this is hardly more than a guess."""
        return self.distance > FAR


@dataclass(frozen=True, slots=True, eq=False)
class SampleMap:
    """Where each latent lies.

    Attributes:
        z: The latents, in fp32 on the CPU. (N, C, h, w)
        points: Their places; the larger side of the map goes from -1 to 1. fp64 (N, 2)
        method: How the places were found.
        usual_distance: The median distance between a sample and its nearest.
        explained: Of PCA, the share of the variance that lies along each axis.
    """

    z: Tensor
    points: Tensor
    method: Method
    usual_distance: float
    explained: tuple[float, float] | None = None

    def between(self, x: float, y: float, *, num_neighbours: int = 4) -> Blend:
        """What lies at a place, as far as the samples around it tell: inverse distance weighting, Shepard 1968.

        Raises:
            RequestError: If the number of neighbours is not above 0.
        """
        if num_neighbours < 1:
            raise RequestError(f"num_neighbours is {num_neighbours}; give at least 1")
        distances = (self.points - self.points.new_tensor([x, y])).norm(dim=1)
        near = distances.argsort(stable=True)[:num_neighbours]
        weights = distances[near].square().clamp(min=1e-12).reciprocal()
        weights = weights / weights.sum()
        samples = self.z[near]
        z = torch.einsum("n,nchw->chw", weights.to(samples), samples)
        spread = z.std(correction=0) / samples.flatten(1).std(1, correction=0).mean().clamp(min=1e-12)
        distance = distances[near[0]].item() / self.usual_distance
        return Blend(z, tuple(near.tolist()), tuple(weights.tolist()), distance, spread.item())


def methods() -> tuple[Method, ...]:
    """What can be used here: PCA always, UMAP (McInnes et al. 2018) where umap-learn is installed."""
    return ("pca", "umap") if importlib.util.find_spec("umap") else ("pca",)


def map_samples(z: Tensor, *, method: Method = "pca") -> SampleMap:
    """Lay latents on a plane.

    Args:
        z: At least 3, finite. (N, C, h, w)
        method: PCA keeps distances as far as two axes can; UMAP keeps neighbours.

    Raises:
        ShapeError: If these are no latents.
        RequestError: If there are too few or too many, or a value is not finite.
        MissingDependencyError: If UMAP is asked for and not installed.
    """
    _check(z)
    z = z.detach().cpu().float()
    places, explained = (_umap(z), None) if method == "umap" else _principal(z.flatten(1).double())
    points = _fitted(places)
    return SampleMap(z, points, method, _usual_distance(points), explained)


def _principal(values: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """The first two principal components (N, D) → (N, 2), from whichever of D x D and N x N is smaller; each sign is
    that of the sample farthest out."""
    values = values - values.mean(0)
    is_wide = values.shape[1] > values.shape[0]
    powers, directions = torch.linalg.eigh(values @ values.T if is_wide else values.T @ values)
    first = directions[:, [-1, -2]]
    places = first * powers[[-1, -2]].clamp(min=0.0).sqrt() if is_wide else values @ first
    farthest = places.gather(0, places.abs().argmax(0, keepdim=True))
    shares = powers[[-1, -2]].clamp(min=0.0) / powers.clamp(min=0.0).sum().clamp(min=1e-300)
    return places * torch.where(farthest < 0, -1.0, 1.0), tuple(shares.tolist())


def _umap(z: Tensor) -> Tensor:
    if "umap" not in methods():
        raise MissingDependencyError("UMAP needs umap-learn; pip install umap-learn, or choose method='pca'")
    import umap

    neighbours = min(15, len(z) - 1)
    places = umap.UMAP(n_neighbors=neighbours, random_state=0).fit_transform(z.flatten(1).numpy())
    return torch.as_tensor(places, dtype=torch.float64)


def _fitted(places: Tensor) -> Tensor:
    """Moved and made smaller or larger, both axes alike, until the larger side goes from -1 to 1."""
    low, high = places.amin(0), places.amax(0)
    return (places - (low + high) / 2) / (high - low).max().clamp(min=1e-12) * 2


def _usual_distance(points: Tensor) -> float:
    """Some rows of the distances at a time: of 5000 samples all of them would take 200 MB."""
    nearest = []
    for start, part in zip(range(0, len(points), ROWS), points.split(ROWS), strict=True):
        distances = torch.cdist(part, points)
        distances[range(len(part)), range(start, start + len(part))] = torch.inf
        nearest.append(distances.amin(1))
    return max(torch.cat(nearest).median().item(), 1e-9)


def _check(z: Tensor) -> None:
    if z.ndim != 4:
        raise ShapeError(f"z has shape {tuple(z.shape)}; expected latents (N, C, h, w)")
    if not 3 <= len(z) <= MAX_SAMPLES:
        raise RequestError(f"there are {len(z)} latents; a map takes 3 to {MAX_SAMPLES}")
    broken = int((~z.isfinite()).flatten(1).any(1).sum())
    if broken:
        raise RequestError(f"{broken} of {len(z)} latents hold NaN or infinity; leave them out")

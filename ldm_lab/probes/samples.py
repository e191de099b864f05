"""Latents from wherever they are: runs, pictures, tensors; each with a small picture and a name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.session.preview import draw_latents
from ldm_lab.tasks import Pipeline, Run

ENCODED_AT_ONCE = 32

Source = Run | Image.Image | Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Latents of one shape.

    Attributes:
        z: In fp32 on the CPU. (N, C, h, w)
        pictures: What each looks like; of a tensor, its linear preview. RGB, of one size
        names: What each is.
    """

    z: Tensor
    pictures: tuple[Image.Image, ...]
    names: tuple[str, ...]


def gather_samples(pipeline: Pipeline, sources: Sequence[Source]) -> Samples:
    """Take latents out of runs, encode pictures, and stack all of them.

    Args:
        pipeline: Encodes pictures and draws tensors.
        sources: Runs (all images of each), RGB pictures of one size, scaled latents (C, h, w) or (B, C, h, w).

    Raises:
        RequestError: If there is none, or a run has no steps.
        ShapeError: If latents differ in shape.
    """
    parts = list(_parts(pipeline, sources))
    if not parts:
        raise RequestError("there are no samples; give runs, pictures or latents")
    shapes = {tuple(part.z.shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise ShapeError(f"latents have the shapes {', '.join(map(str, sorted(shapes)))}; give samples of one shape")
    size = parts[0].pictures[0].size
    return Samples(
        torch.cat([part.z.detach().cpu().float() for part in parts]),
        tuple(picture.resize(size) for part in parts for picture in part.pictures),
        tuple(name for part in parts for name in part.names),
    )


def _parts(pipeline: Pipeline, sources: Sequence[Source]) -> Iterator[Samples]:
    pictures = [(number, source) for number, source in enumerate(sources) if isinstance(source, Image.Image)]
    for start in range(0, len(pictures), ENCODED_AT_ONCE):
        numbers, batch = zip(*pictures[start : start + ENCODED_AT_ONCE], strict=True)
        yield Samples(pipeline.encode(batch), batch, tuple(f"picture {number}" for number in numbers))
    for number, source in enumerate(sources):
        if isinstance(source, Run):
            yield _of_run(source)
        elif isinstance(source, Tensor):
            yield _of_tensor(pipeline, source, number)


def _of_run(run: Run) -> Samples:
    if not run.trajectory:
        raise RequestError("a run has no steps, and so no latents; it is one of a walk of zero length")
    last = run.trajectory[-1]
    names = tuple(f"{name}: {run.settings.title}" for name in run.settings.image_names)
    return Samples(last.z_0_pred if run.partial else last.z_next, tuple(run.images), names)


def _of_tensor(pipeline: Pipeline, z: Tensor, number: int) -> Samples:
    z = z[None] if z.ndim == 3 else z
    factor = pipeline.model.config.autoencoder.downsampling_factor
    drawn = [
        picture.resize((factor * picture.width, factor * picture.height)) for picture in draw_latents(pipeline.model, z)
    ]
    return Samples(z, tuple(drawn), tuple(f"latent {number}.{place}" for place in range(len(z))))

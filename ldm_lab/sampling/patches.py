"""Patch-wise sampling: a model that is asked about pieces of the size it was trained on."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.tiles import Tile, in_tiles, tiles_of
from ldm_lab.sampling.guidance import Denoise, Denoiser, DenoiserAround


class Patched(DenoiserAround):
    """A denoiser that predicts a large latent as the mean of overlapping patches, weighted towards their middles.

    MultiDiffusion (Bar-Tal et al. 2023): all patches share one latent, and where they overlap the answer that fits them
    best in the least-squares sense is their weighted mean. (There the mean is taken of the latents after the step; for
    a step that is linear in the prediction it is the same.) With one patch it is the model itself, bit for bit.

    Maps concatenated to the latent are cut like it; context and vectors hold for every patch.
    """

    def __init__(self, model: Denoiser, *, size: int, overlap: int) -> None:
        """Put patches around a model.

        Args:
            model: Any denoiser.
            size: Side of a patch in latent numbers, best that of the model's training.
            overlap: What neighbours share at least; half the size leaves no seams.

        Raises:
            RequestError: If the overlap is not less than the size.
        """
        tiles_of(size, size, size=size, overlap=overlap)
        super().__init__(model)
        self._size, self._overlap = size, overlap

    def bind(self, cond: Conditioning | None, timesteps: Tensor, *, copies: int = 1) -> Denoise:
        """Bind the model: once, or for each patch if it sees a map of its own."""
        if cond is None or cond.concat is None:
            whole = self._model.bind(cond, timesteps, copies=copies)
            return lambda z_t, index: self._blend(z_t, lambda patch, tile: whole(patch, index))
        tiles = tiles_of(*cond.concat.shape[-2:], size=self._size, overlap=self._overlap)
        bound = {
            tile: self._model.bind(replace(cond, concat=tile.of(cond.concat)), timesteps, copies=copies)
            for tile in tiles
        }
        return lambda z_t, index: self._blend(z_t, lambda patch, tile: bound[tile](patch, index))

    def _blend(self, z_t: Tensor, predict: Callable[[Tensor, Tile], Tensor]) -> Tensor:
        return in_tiles(predict, z_t, size=self._size, overlap=self._overlap)

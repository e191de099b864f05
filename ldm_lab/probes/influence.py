"""Which pixels depend on a cell of the latent, measured on the decoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.model import LatentDiffusion

Cell = tuple[int, int]  # (row, column)


@dataclass(frozen=True, slots=True, eq=False)
class Influence:
    """How strongly each pixel depends on each of some cells.

    Attributes:
        cells: (row, column) of each.
        heat: Of each cell, 0 where it does nothing. (K, H, W)
        radius: Of each cell: within so many pixels of the middle of its patch lies 90 % of the squared heat. (K,)
    """

    cells: tuple[Cell, ...]
    heat: Tensor
    radius: Tensor


@torch.no_grad()
def ablation_influence(model: LatentDiffusion, z: Tensor, cells: Sequence[Cell], *, batch_size: int = 8) -> Influence:
    """Replace a cell by the mean of the latent, decode, and see how far each pixel moves.

    Group norms and attention in a decoder see the whole map, so no pixel is wholly untouched; convolutions alone reach
    ``decoder_margin`` pixels beyond the cell's own patch.

    It costs a decode for each cell and one more for each batch: the untouched latent is decoded beside the others, as
    rounding may differ between batches of other sizes. For a VQ first stage the codebook takes part.

    Args:
        model: Whose decoder is measured.
        z: A scaled latent. (C, h, w)
        cells: (row, column), counted from 0.
        batch_size: Decoded at once, at least 2.

    Returns:
        Heat is the root mean square over RGB of the difference, in units of x, which spans 2.

    Raises:
        ShapeError: If ``z`` is not one latent.
        RequestError: If a cell lies outside, there is none, or the batch size is below 2.
    """
    _check(model, z, cells)
    if batch_size < 2:
        raise RequestError(f"batch_size is {batch_size}; give at least 2, as the untouched latent is in every batch")
    changed = z.repeat(len(cells), 1, 1, 1)  # (K, C, h, w)
    for one, (row, column) in zip(changed, cells, strict=True):
        one[:, row, column] = z.mean((1, 2))
    heat = []
    for part in changed.split(batch_size - 1):
        untouched, *moved = model.decode(torch.cat([z[None], part]))
        heat += [(x - untouched).square().mean(0).sqrt() for x in moved]
    return _influence(model, torch.stack(heat), cells)


def gradient_influence(model: LatentDiffusion, z: Tensor, cells: Sequence[Cell]) -> Influence:
    """How fast each pixel moves with a cell: the limit of small changes, and no codebook to jump over.

    Derivatives of all pixels by a cell; the effective receptive field of Luo et al. 2016 is the other way round, of one
    output by all inputs. For a VQ first stage the codes that the decoder reads are varied.

    It costs a pass of about five decodes for each cell and channel, and holds the activations of one decode.

    Args:
        model: Whose decoder is measured.
        z: A scaled latent. (C, h, w)
        cells: (row, column), counted from 0.

    Returns:
        Heat is the root of the squared derivatives, summed over the channels of the cell, averaged over RGB.

    Raises:
        ShapeError: If ``z`` is not one latent.
        RequestError: If a cell lies outside or there is none.
    """
    _check(model, z, cells)
    dtype = next(model.autoencoder.parameters()).dtype
    z_decoder = model.autoencoder.quantize.to_decoder((z[None] / model.scale_factor).to(dtype)).detach()
    directions = z_decoder.new_zeros(len(cells), len(z), *z.shape)
    for each, (row, column) in zip(directions, cells, strict=True):
        each[:, :, row, column] = torch.eye(len(z)) / model.scale_factor
    derivatives = _derivatives(model.autoencoder.decode_bottlenecked, z_decoder, directions.flatten(0, 1))
    heat = derivatives.unflatten(0, directions.shape[:2]).square().sum(1).mean(1).sqrt()  # (K, H, W)
    return _influence(model, heat, cells)


def influence_radius(heat: Tensor, centre: tuple[float, float], *, share: float = 0.9) -> float:
    """Radius of the circle around a centre in which a share of the squared heat lies, in pixels.

    Args:
        heat: (H, W)
        centre: (y, x) in pixels; the middle of the first pixel is (0, 0).
        share: Above 0, at most 1.

    Returns:
        0 for a map without heat.
    """
    height, width = heat.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance, order = torch.hypot(rows - centre[0], columns - centre[1]).flatten().sort()
    energy = heat.cpu().double().square().flatten()[order].cumsum(0)
    if energy[-1] == 0.0:
        return 0.0
    inside = torch.searchsorted(energy, share * energy[-1])
    return distance[inside.clamp(max=len(distance) - 1)].item()


def decoder_margin(config: AutoencoderConfig) -> int:
    """How many pixels beyond its own f x f patch a cell reaches by convolutions alone.

    Each 3 x 3 convolution carries it one place further, each doubling doubles what was covered.
    """
    margin = 1 + 2 * 2  # the first convolution, and two residual blocks in the middle
    for _ in config.channel_mult[1:]:
        margin = 2 * (margin + 2 * (config.num_res_blocks + 1)) + 1  # a level's blocks, doubling, a convolution
    return margin + 2 * (config.num_res_blocks + 1) + 1


@torch.enable_grad()
def _derivatives(decode: Callable[[Tensor], Tensor], z: Tensor, directions: Tensor) -> Tensor:
    """Derivatives of an image along directions, J d: (1, C, h, w), (n, C, h, w) → (n, 3, H, W).

    J^T v is linear in v, and its derivative by v along d is J d. Unlike torch's forward mode this starts no compiler.
    """
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention cannot be differentiated twice
        z = z.clone().requires_grad_()
        x = decode(z)
        v = torch.zeros_like(x, requires_grad=True)
        (pulled_back,) = torch.autograd.grad(x, z, v, create_graph=True)
        return torch.cat([torch.autograd.grad(pulled_back, v, d[None], retain_graph=True)[0] for d in directions])


def _influence(model: LatentDiffusion, heat: Tensor, cells: Sequence[Cell]) -> Influence:
    factor = model.config.autoencoder.downsampling_factor
    centres = [((row + 0.5) * factor - 0.5, (column + 0.5) * factor - 0.5) for row, column in cells]
    radii = [influence_radius(one, centre) for one, centre in zip(heat, centres, strict=True)]
    return Influence(tuple(cells), heat, torch.tensor(radii))


def _check(model: LatentDiffusion, z: Tensor, cells: Sequence[Cell]) -> None:
    channels = model.config.autoencoder.latent_channels
    if z.ndim != 3 or len(z) != channels:
        raise ShapeError(f"z has shape {tuple(z.shape)}; expected one latent ({channels}, h, w)")
    if not cells:
        raise RequestError("cells is empty; give (row, column) of at least one")
    height, width = z.shape[1:]
    for row, column in cells:
        if not (0 <= row < height and 0 <= column < width):
            raise RequestError(f"there is no cell {(row, column)}; the latent has {height} rows and {width} columns")

"""What a UNet is given must fit what it was built for; each mistake has one sentence."""

from torch import Tensor

from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.errors import ShapeError
from ldm_lab.unet.config import UNetConfig


def check_steps(t: Tensor, *, batch: int | None = None) -> None:
    """Refuse steps that are not a list, or not one for each latent of a batch."""
    if t.ndim != 1 or (batch is not None and len(t) != batch):
        wanted = "(number of steps,)" if batch is None else f"({batch},), one step for each latent"
        raise ShapeError(f"the steps have shape {tuple(t.shape)}; they must have shape {wanted}")


def check_condition(cond: Conditioning | None, config: UNetConfig, *, copies: int = 1) -> None:
    """Refuse a condition that lacks what the UNet reads, holds what it cannot read, or has another width."""
    parts = {} if cond is None else cond.parts()
    for name, width in (("context", config.context_dim), ("vector", config.vector_dim)):
        _check_part(name, parts.get(name), width)
    if copies < 1 or (cond is not None and cond.batch_size % copies):
        batch = "no" if cond is None else cond.batch_size
        raise ShapeError(f"there are {batch} conditions for copies={copies}; it must divide them")


def _check_part(name: str, part: Tensor | None, width: int | None) -> None:
    if part is None and width is not None:
        raise ShapeError(f"this UNet was built with {name}_dim={width}, but the condition has no {name}; pass one")
    if part is not None and width is None:
        raise ShapeError(f"the condition has a {name}, but this UNet was built with {name}_dim=None; leave it out")
    if part is not None and part.shape[-1] != width:
        raise ShapeError(
            f"{name} has {part.shape[-1]} channels, but this UNet was built with {name}_dim={width}; use a conditioner "
            f"of width {width} or rebuild the UNet"
        )


def check_latent(z_t: Tensor, cond: Conditioning | None, config: UNetConfig, *, copies: int = 1) -> None:
    """Refuse a latent of the wrong channels or sides, or whose number differs from that of the conditions."""
    shape, concat = tuple(z_t.shape), None if cond is None else cond.concat
    beside = 0 if concat is None else concat.shape[1]
    if z_t.ndim != 4 or shape[1] + beside != config.in_channels:
        raise ShapeError(
            f"the latent has shape {shape} and {beside} channels are concatenated; this UNet reads (batch, channels, "
            f"height, width) with {config.in_channels} channels in all"
        )
    if concat is not None and concat.shape[2:] != z_t.shape[2:]:
        raise ShapeError(f"concat has sides {tuple(concat.shape[2:])}, but the latent has {shape[2:]}; resize it")
    if shape[2] % config.side_factor or shape[3] % config.side_factor:
        raise ShapeError(
            f"the latent has sides {shape[2:]}; this UNet halves them {config.num_levels - 1} times, so they must be "
            f"multiples of {config.side_factor}"
        )
    if cond is not None and cond.batch_size != copies * len(z_t):
        raise ShapeError(f"there are {cond.batch_size} conditions for {len(z_t)} latents with copies={copies}")

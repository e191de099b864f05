"""How large latents are: the scale that stage 2 divides by, and figures that show whether they are well."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import Posterior
from ldm_lab.core.seeding import generator


@torch.no_grad()
def with_measured_scale(autoencoder: Autoencoder, batches: Iterable[Tensor]) -> Autoencoder:
    """Set ``config.scale_factor`` to 1/std of raw latents drawn for many batches of images.

    One scalar for all channels, as in LDM (Rombach et al. 2022), appendix G; the reference measures its first batch only.
    """
    drawn = generator("latent scale")
    raw = torch.cat([autoencoder.encode(x).sample(drawn).float().cpu() for x in batches])
    autoencoder.config = replace(autoencoder.config, scale_factor=1.0 / raw.std().item())
    return autoencoder


def latent_figures(autoencoder: Autoencoder, posterior: Posterior) -> dict[str, float]:
    """Spread and centre of each channel's raw latents, and what the bottleneck says of them."""
    z_raw = posterior.mode()
    spread, centre = z_raw.std(dim=(0, 2, 3)), z_raw.mean(dim=(0, 2, 3))
    health = {"latent_std": z_raw.std().item()}
    for channel in range(z_raw.shape[1]):
        health[f"latent_std_{channel}"] = spread[channel].item()
        health[f"latent_mean_{channel}"] = centre[channel].item()
    bottlenecked = autoencoder.quantize(posterior, generator("latent figures"))
    return health | {name: float(value) for name, value in bottlenecked.figures.items()}

"""How large latents are: the scale that stage 2 multiplies by, and figures that show whether they are well."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import Posterior
from ldm_lab.core.errors import TrainingError
from ldm_lab.core.seeding import generator


@torch.no_grad()
def measure_scale(autoencoder: Autoencoder, batches: Iterable[Tensor]) -> float:
    """1/std of raw latents drawn for many batches of images (B, 3, H, W): what makes scaled latents of unit variance.

    One scalar for all channels, as in LDM (Rombach et al. 2022), appendix G; the reference measures one batch only.

    Raises:
        TrainingError: If all latents are alike.
    """
    drawn = generator("latent scale")
    spread = torch.cat([autoencoder.encode(x).sample(drawn).float().cpu() for x in batches]).std().item()
    if not spread > 0.0:
        raise TrainingError(f"the latents have the standard deviation {spread}; this first stage has learned nothing")
    return 1.0 / spread


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

"""ldm_lab: a laboratory for latent diffusion models.

Importing this package loads no torch: public names are looked up when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldm_lab.api import load, open_run
    from ldm_lab.autoencoders.autoencoder import Autoencoder
    from ldm_lab.autoencoders.config import AutoencoderConfig
    from ldm_lab.core.errors import LdmLabError
    from ldm_lab.model import LatentDiffusion, LatentDiffusionConfig
    from ldm_lab.session import Session
    from ldm_lab.tasks import Pipeline, Run, TextToImageSettings
    from ldm_lab.unet import UNet, UNetConfig

__version__ = "0.1.0"

__all__ = [
    "Autoencoder",
    "AutoencoderConfig",
    "LatentDiffusion",
    "LatentDiffusionConfig",
    "LdmLabError",
    "Pipeline",
    "Run",
    "Session",
    "TextToImageSettings",
    "UNet",
    "UNetConfig",
    "__version__",
    "load",
    "open_run",
]

_HOMES = {
    "Autoencoder": "ldm_lab.autoencoders.autoencoder",
    "AutoencoderConfig": "ldm_lab.autoencoders.config",
    "LatentDiffusion": "ldm_lab.model",
    "LatentDiffusionConfig": "ldm_lab.model",
    "LdmLabError": "ldm_lab.core.errors",
    "Pipeline": "ldm_lab.tasks",
    "Run": "ldm_lab.tasks",
    "Session": "ldm_lab.session",
    "TextToImageSettings": "ldm_lab.tasks",
    "UNet": "ldm_lab.unet",
    "UNetConfig": "ldm_lab.unet",
    "load": "ldm_lab.api",
    "open_run": "ldm_lab.api",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ldm_lab' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

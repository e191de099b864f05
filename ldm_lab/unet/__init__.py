"""The denoising network: ``UNet`` and what it is built from."""

from ldm_lab.unet.config import UNetConfig
from ldm_lab.unet.deepen import deepen, thin
from ldm_lab.unet.unet import Denoise, UNet
from ldm_lab.unet.widen import widen_input

__all__ = ["Denoise", "UNet", "UNetConfig", "deepen", "thin", "widen_input"]

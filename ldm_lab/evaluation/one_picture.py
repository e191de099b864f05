"""What a first stage leaves of one picture: what comes back, how close it is, and what its latent costs."""

import math
from dataclasses import dataclass
from functools import cache

import torch
from PIL import Image
from torch import Tensor, nn

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.perceptual import load_lpips
from ldm_lab.core.errors import MissingDependencyError
from ldm_lab.core.images import to_pil, to_tensor
from ldm_lab.evaluation.latent_storage import WHOLE, LatentStorage
from ldm_lab.evaluation.metrics import psnr, ssim

AS_IT_IS = LatentStorage()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reconstruction:
    """A picture after encoder and decoder.

    Attributes:
        original: What the encoder saw: the picture, cut to a multiple of the downsampling factor.
        image: What came back.
        z_raw: The latent between, as it comes out of its storage. (C, h, w)
        psnr: In dB; infinite if nothing changed.
        ssim: 1 if equal.
        lpips: VGG16; None where its weights are not on disk.
        picture_bytes: Of the pixels, three bytes each.
        latent_bytes: Of the latent: the bits of each number, or of a codebook, those of an index a place.
    """

    original: Image.Image
    image: Image.Image
    z_raw: Tensor
    psnr: float
    ssim: float
    lpips: float | None
    picture_bytes: int
    latent_bytes: int


@torch.no_grad()
def reconstruct(autoencoder: Autoencoder, picture: Image.Image, *, storage: LatentStorage = AS_IT_IS) -> Reconstruction:
    """Encode and decode a picture through the mode of its posterior.

    Args:
        autoencoder: In evaluation mode.
        picture: RGB; what stands over a multiple of the downsampling factor is cut off at the right and below.
        storage: What happens to the latent between.

    Raises:
        ShapeError: If it is smaller than the window of SSIM, 11 pixels.
        MissingDependencyError: If scikit-image is not installed.
    """
    factor = autoencoder.config.downsampling_factor
    original = picture.crop((0, 0, picture.width // factor * factor, picture.height // factor * factor))
    device = next(autoencoder.parameters()).device
    x = to_tensor(original)
    encoded = autoencoder.encode(x.to(device)).mode()
    z_raw = storage.apply(encoded, scale_factor=autoencoder.config.scale_factor)
    image = to_pil(autoencoder.decode(z_raw))[0]
    x_hat = to_tensor(image)  # as it is seen: of 8 bits
    return Reconstruction(
        original=original,
        image=image,
        z_raw=z_raw[0].cpu(),
        psnr=psnr(x, x_hat).item(),
        ssim=ssim(x, x_hat).item(),
        lpips=_lpips(x, x_hat),
        picture_bytes=3 * original.width * original.height,
        latent_bytes=latent_bytes(autoencoder.config, tuple(z_raw.shape[1:]), bits=storage.bits),
    )


def latent_bytes(config: AutoencoderConfig, shape: tuple[int, int, int], *, bits: int = WHOLE) -> int:
    """What a latent (C, h, w) takes when it is stored, with so many bits a number where it has no codes."""
    channels, height, width = shape
    if isinstance(config.bottleneck, VQConfig):
        return math.ceil(height * width * math.ceil(math.log2(config.bottleneck.num_codes)) / 8)
    return math.ceil(channels * height * width * bits / 8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """How close two pictures are.

    Attributes:
        psnr: In dB; infinite if they are equal.
        ssim: 1 if equal.
        lpips: VGG16; None where its weights are not on disk.
    """

    psnr: float
    ssim: float
    lpips: float | None


@torch.no_grad()
def likeness(first: Image.Image, second: Image.Image) -> Likeness:
    """Measure two RGB pictures of one size against each other.

    Raises:
        ShapeError: If the sizes differ, or are smaller than the window of SSIM, 11 pixels.
        MissingDependencyError: If scikit-image is not installed.
    """
    x, x_hat = to_tensor(first), to_tensor(second)
    return Likeness(psnr=psnr(x, x_hat).item(), ssim=ssim(x, x_hat).item(), lpips=_lpips(x, x_hat))


def _lpips(x: Tensor, x_hat: Tensor) -> float | None:
    network = _lpips_network()
    return None if network is None else network(x, x_hat).mean().item()


@cache
def _lpips_network() -> nn.Module | None:
    """Loaded once; None where its weights are not on disk."""
    try:
        return load_lpips().eval()
    except MissingDependencyError:
        return None

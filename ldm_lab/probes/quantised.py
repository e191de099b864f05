"""Codes for a first stage that has none: what a codebook would make of its latents."""

import dataclasses

import torch
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import KLConfig, VQConfig, nearest_code
from ldm_lab.core.errors import RequestError
from ldm_lab.core.seeding import generator
from ldm_lab.training.codebook import begin_on_data

NUM_ROUNDS = 20


@torch.no_grad()
def quantised(autoencoder: Autoencoder, x: Tensor, *, num_codes: int, seed: int = 0) -> Autoencoder:
    """A KL first stage with a codebook put into it afterwards; nothing is trained.

    Encoder (its mean) and decoder are those that are given. The codes are the means of clusters of its latents, found
    by Lloyd's algorithm (1982) from the seeding of k-means++; the decoder never learned to read them alone, so that
    more is lost than with a codebook that was trained.

    Args:
        autoencoder: With a KL bottleneck; it is not changed.
        x: Images whose latents are grouped, in [-1, 1]. (B, 3, H, W)
        num_codes: How many codes, at most one for each place of the latents.
        seed: Where the clusters begin.

    Raises:
        RequestError: If it has a codebook, or there are fewer places than codes.
    """
    if not isinstance(autoencoder.config.bottleneck, KLConfig):
        raise RequestError("this first stage has a codebook already; look at that one")
    made = _without_variance(autoencoder, VQConfig(num_codes=num_codes))
    tokens = made.encode(x).mode().movedim(1, -1).flatten(0, -2)  # (N, C)
    if len(tokens) < num_codes:
        raise RequestError(f"num_codes is {num_codes}, but the images have {len(tokens)} places; give more images")
    begin_on_data(made, x, generator=generator(seed, "quantised"))
    made.quantize.embedding.weight.copy_(_cluster_means(tokens, made.quantize.embedding.weight))
    return made


def _cluster_means(tokens: Tensor, codes: Tensor) -> Tensor:
    """Lloyd's algorithm: each code becomes the mean of the tokens that are nearest to it; one without any stays."""
    for _ in range(NUM_ROUNDS):
        nearest = nearest_code(tokens, codes)  # (N,)
        sums = torch.zeros_like(codes).index_add_(0, nearest, tokens)
        counts = torch.bincount(nearest, minlength=len(codes))[:, None]
        codes = torch.where(counts > 0, sums / counts.clamp(min=1), codes)
    return codes


def _without_variance(autoencoder: Autoencoder, bottleneck: VQConfig) -> Autoencoder:
    """The same networks around another bottleneck. The two last convolutions of the encoder become one, which gives the
    mean alone: a 1×1 convolution after a 3×3 one is a 3×3 one."""
    made = Autoencoder(dataclasses.replace(autoencoder.config, bottleneck=bottleneck)).to(
        next(autoencoder.parameters())
    )
    state, channels = dict(autoencoder.state_dict()), autoencoder.config.latent_channels
    mix = state["quant_conv.weight"][:channels, :, 0, 0]  # (C, 2C)
    last, bias = state["encoder.conv_out.weight"], state["encoder.conv_out.bias"]
    state["encoder.conv_out.weight"] = torch.einsum("om,mikl->oikl", mix, last)
    state["encoder.conv_out.bias"] = mix @ bias + state["quant_conv.bias"][:channels]
    state["quant_conv.weight"] = torch.eye(channels, device=mix.device, dtype=mix.dtype)[..., None, None]
    state["quant_conv.bias"] = torch.zeros_like(bias[:channels])
    state["quantize.embedding.weight"] = made.quantize.embedding.weight
    made.load_state_dict(state)
    return made.eval()

"""Our first stage is diffusers': KL and VQ, the same names, the same numbers, the same gradients."""

import pytest
import torch
from diffusers import AutoencoderKL, VQModel

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig

EXACT = {"rtol": 0.0, "atol": 1e-10}  # fp64; the sums are long, the order of their terms differs
SINGLE = {"rtol": 1e-5, "atol": 1e-5}
NUM_CODES = 24

SIZES = {"latent_channels": 3, "channels": 8, "channel_mult": (1, 2), "num_res_blocks": 1, "norm_groups": 4}
THEIR_SIZES = {"latent_channels": 3, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
PLAIN = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
ATTENTION = {
    "down_block_types": ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
    "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
}
LEVELS = {
    "attention in the middle": ({}, PLAIN),
    "attention at a level": ({"attention_levels": (1,)}, ATTENTION),
    "no attention": ({"mid_attention": False}, PLAIN | {"mid_block_add_attention": False}),
}
levels = pytest.mark.parametrize(("changes", "blocks"), LEVELS.values(), ids=LEVELS.keys())


def images(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(3), dtype=dtype) * 2 - 1


def kl_pair(like, changes, blocks):
    return like(Autoencoder(AutoencoderConfig(**SIZES | changes)), AutoencoderKL(**THEIR_SIZES | blocks))


def vq_pair(like, changes, blocks, beta_on="codebook"):
    bottleneck = VQConfig(num_codes=NUM_CODES, beta_on=beta_on)
    theirs = VQModel(**THEIR_SIZES | blocks | {"num_vq_embeddings": NUM_CODES})
    theirs.quantize.legacy = beta_on == "codebook"
    return like(Autoencoder(AutoencoderConfig(bottleneck=bottleneck, **SIZES | changes)), theirs)


@levels
def test_kl_in_double_precision(like, same_gradients, changes, blocks):
    ours, theirs = (network.double() for network in kl_pair(like, changes, blocks))
    x, posterior, expected = images(), ours.encode(images()), theirs.encode(images()).latent_dist
    torch.testing.assert_close(posterior.mode(), expected.mode(), **EXACT)
    torch.testing.assert_close(posterior.logvar, expected.logvar, **EXACT)
    torch.testing.assert_close(posterior.kl().sum(dim=(1, 2, 3)), expected.kl(), **EXACT)
    output = ours.decode(posterior.mode()).mean((1, 2, 3)) + posterior.kl().sum(dim=(1, 2, 3))
    wanted = theirs.decode(expected.mode()).sample.mean((1, 2, 3)) + expected.kl()
    torch.testing.assert_close(ours(x), theirs(x).sample, **EXACT)
    same_gradients(ours, theirs, output, wanted, **EXACT)


@levels
def test_vq_in_double_precision(like, same_gradients, changes, blocks):
    ours, theirs = (network.double() for network in vq_pair(like, changes, blocks))
    posterior, expected = ours.encode(images()), theirs.encode(images()).latents
    torch.testing.assert_close(posterior.mode(), expected, **EXACT)
    bottlenecked = ours.quantize(posterior)
    z_q, penalty, (_, _, indices) = theirs.quantize(expected)
    assert torch.equal(ours.quantize.indices(posterior.mode()).flatten(), indices.flatten())
    assert len(indices.unique()) > 1
    torch.testing.assert_close(bottlenecked.z_decoder, z_q, **EXACT)
    output = ours.decode_bottlenecked(bottlenecked.z_decoder)
    wanted = theirs.decode(z_q, force_not_quantize=True).sample
    torch.testing.assert_close(output, wanted, **EXACT)
    same_gradients(ours, theirs, output.mean() + bottlenecked.penalty, wanted.mean() + penalty, **EXACT)


@pytest.mark.parametrize("beta_on", ["codebook", "commitment"])
@torch.no_grad()
def test_both_places_of_beta_exist_there(like, beta_on):
    ours, theirs = (network.double() for network in vq_pair(like, {}, PLAIN, beta_on))
    posterior = ours.encode(images())
    torch.testing.assert_close(ours.quantize(posterior).penalty, theirs.quantize(posterior.mode())[1], **EXACT)


@torch.no_grad()
def test_decoding_a_raw_latent_quantises_it_first(like):
    ours, theirs = (network.double() for network in vq_pair(like, {}, PLAIN))
    z_raw = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    torch.testing.assert_close(ours.decode(z_raw), theirs.decode(z_raw).sample, **EXACT)
    assert (ours.decode(z_raw) - ours.decode_bottlenecked(z_raw)).abs().max() > 1e-3  # negative control


@torch.no_grad()
def test_single_precision(like):
    for ours, theirs in (kl_pair(like, {}, PLAIN), vq_pair(like, {}, PLAIN)):
        x = images(torch.float32)
        torch.testing.assert_close(ours(x), theirs(x).sample, **SINGLE)


@torch.no_grad()
def test_padding_on_all_sides_is_another_network(like):
    """Negative control: the asymmetric padding of the way down leaves no trace in the weights."""
    ours, theirs = kl_pair(like, {}, PLAIN)
    ours.encoder.down_blocks[0].downsamplers[0].asymmetric = False
    ours.encoder.down_blocks[0].downsamplers[0].conv.padding = (1, 1)
    x = images(torch.float32)
    assert (ours.encode(x).mode() - theirs.encode(x).latent_dist.mode()).abs().max() > 1e-3

"""The first stage as a whole: shapes, what it refuses, and that it can learn."""

import re

import pytest
import torch

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import GaussianPosterior, KLConfig, PointPosterior, VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import ConfigError, ShapeError

KL, VQ = KLConfig(), VQConfig(num_codes=16)


def make_autoencoder(bottleneck=KL, **changes) -> Autoencoder:
    torch.manual_seed(0)
    sizes = {"latent_channels": 2, "channels": 8, "channel_mult": (1, 2), "num_res_blocks": 1, "norm_groups": 4}
    return Autoencoder(AutoencoderConfig(bottleneck=bottleneck, **sizes | changes))


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("bottleneck", [KL, VQ], ids=["kl", "vq"])
@pytest.mark.parametrize("channel_mult", [(1,), (1, 2), (1, 1, 2)], ids=str)
@torch.no_grad()
def test_sides_shrink_by_the_factor_and_come_back(bottleneck, channel_mult):
    autoencoder = make_autoencoder(bottleneck, channel_mult=channel_mult)
    factor = autoencoder.config.downsampling_factor
    assert factor == 2 ** (len(channel_mult) - 1)
    x = images(2, 3, 8, 12)
    z_raw = autoencoder.encode(x).mode()
    assert z_raw.shape == (2, 2, 8 // factor, 12 // factor)
    assert autoencoder.decode(z_raw).shape == x.shape
    assert torch.equal(autoencoder(x), autoencoder.decode(z_raw))


@pytest.mark.parametrize(("bottleneck", "posterior"), [(KL, GaussianPosterior), (VQ, PointPosterior)])
@torch.no_grad()
def test_training_and_use_decode_alike(bottleneck, posterior):
    """What training decodes for a posterior without spread is what ``decode`` makes of its mode."""
    autoencoder, x = make_autoencoder(bottleneck), images(1, 3, 8, 8)
    encoded = autoencoder.encode(x)
    assert type(encoded) is posterior
    sharp = GaussianPosterior(encoded.mean, torch.full_like(encoded.mean, -30.0)) if bottleneck is KL else encoded
    trained = autoencoder.decode_bottlenecked(autoencoder.quantize(sharp).z_decoder)
    torch.testing.assert_close(trained, autoencoder.decode(encoded.mode()), rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("bottleneck", [KL, VQ], ids=["kl", "vq"])
def test_gradients_pass_the_codebook_straight_through(bottleneck):
    """They are those of the decoder where it stands, as if the latent had been quantised already."""
    autoencoder = make_autoencoder(bottleneck)
    z_raw = torch.randn(1, 2, 4, 4, requires_grad=True)
    z_decoder = autoencoder.quantize.to_decoder(z_raw).detach().requires_grad_()
    straight = autoencoder.decode_straight_through(z_raw)
    torch.testing.assert_close(straight, autoencoder.decode(z_raw), rtol=0.0, atol=1e-5)
    (found,) = torch.autograd.grad(straight.square().sum(), z_raw)
    (expected,) = torch.autograd.grad(autoencoder.decode_bottlenecked(z_decoder).square().sum(), z_decoder)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert expected.abs().max() > 1e-3


@torch.no_grad()
def test_images_do_not_see_each_other():
    autoencoder, x = make_autoencoder(attention_levels=(1,)), images(3, 3, 8, 8)
    alone = torch.cat([autoencoder(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(autoencoder(x), alone, rtol=0.0, atol=1e-5)


@torch.no_grad()
def test_the_same_seed_is_the_same_network():
    first, again, other = make_autoencoder(), make_autoencoder(), Autoencoder(make_autoencoder().config)
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not torch.equal(first.quant_conv.weight, other.quant_conv.weight)


@pytest.mark.parametrize("bottleneck", [KL, VQ], ids=["kl", "vq"])
def test_every_parameter_receives_a_gradient(bottleneck):
    autoencoder, x = make_autoencoder(bottleneck, attention_levels=(1,)), images(2, 3, 8, 8)
    bottlenecked = autoencoder.quantize(autoencoder.encode(x))
    x_hat = autoencoder.decode_bottlenecked(bottlenecked.z_decoder)
    ((x_hat - x).square().mean() + bottlenecked.penalty).backward()
    without = [name for name, value in autoencoder.named_parameters() if value.grad is None or not value.grad.any()]
    assert [name for name in without if not name.endswith("to_k.bias")] == []  # softmax does not see that bias


IMAGES = {
    "sides": (2, 3, 7, 8),
    "channels": (2, 4, 8, 8),
    "no batch": (3, 8, 8),
}


@pytest.mark.parametrize("shape", IMAGES.values(), ids=IMAGES.keys())
def test_images_that_do_not_fit(shape):
    message = (
        f"images have shape {shape}; this encoder reads (batch, 3, height, width) with sides that are multiples of 2"
    )
    with pytest.raises(ShapeError, match=re.escape(message)):
        make_autoencoder().encode(images(*shape))


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (2, 4, 4)], ids=str)
def test_latents_that_do_not_fit(shape):
    message = f"latents have shape {shape}; this decoder reads (batch, 2, height, width)"
    with pytest.raises(ShapeError, match=re.escape(message)):
        make_autoencoder().decode(images(*shape))


MISTAKES = {
    "levels": ({"channel_mult": ()}, "channel_mult has 0 levels; from 1 to 8"),
    "attention": ({"attention_levels": (3,)}, "attention_levels (3,) must be below 3"),
    "groups": ({"norm_groups": 48}, "width 128 cannot be split into norm_groups=48"),
    "scale": ({"scale_factor": 0.0}, "scale_factor is 0.0"),
    "not finite": ({"scale_factor": float("nan")}, "scale_factor is nan; it must be a finite number"),
    "bottleneck": ({"bottleneck": "kl"}, "bottleneck is 'kl'; expected KLConfig or VQConfig"),
}


@pytest.mark.parametrize(("values", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_in_a_config_are_named(values, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        AutoencoderConfig(**values)


@pytest.mark.parametrize("bottleneck", [KL, VQ, VQConfig()], ids=["kl", "vq", "vq defaults"])
def test_a_config_survives_json(bottleneck):
    config = AutoencoderConfig(bottleneck=bottleneck, attention_levels=(1,))
    assert from_dict(AutoencoderConfig, to_dict(config)) == config

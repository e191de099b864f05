"""Conditioners as parts of a model: who hands in the first stage, and what must fit together."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from ldm_lab.conditioning import LowResolutionImageConfig, MaskedImageConfig, SemanticMapConfig
from ldm_lab.core.errors import ConfigError
from ldm_lab.core.masks import MaskedPicture
from ldm_lab.core.seeding import generator


def masked_picture(side=16):
    image = torch.rand(3, side, side, generator=generator(0)) * 2 - 1
    mask = torch.zeros(1, side, side)
    mask[:, : side // 2] = 1
    return MaskedPicture(image, mask)


@pytest.fixture(scope="module")
def inpainter(make_tiny_model):
    """A toy inpainting model; f = 2, 3 channels and 4 beside them. Not to be changed."""
    return make_tiny_model(conditioner=MaskedImageConfig(latent_channels=3))


@torch.no_grad()
def test_a_masked_picture_is_encoded_as_the_model_encodes_it(inpainter):
    picture = masked_picture()
    concat = inpainter.condition([picture]).concat
    torch.testing.assert_close(concat[:, :3], inpainter.encode(picture.visible[None]), rtol=0, atol=0)
    assert concat[0, 3].tolist() == [[1.0] * 8] * 4 + [[-1.0] * 8] * 4
    assert inpainter.predict(torch.zeros(1, 3, 8, 8), torch.tensor([5]), inpainter.condition([picture])).shape[1] == 3


def test_the_first_stage_is_counted_and_saved_once(inpainter):
    first_stage = sum(parameter.numel() for parameter in inpainter.autoencoder.parameters())
    unet = sum(parameter.numel() for parameter in inpainter.unet.parameters())
    assert sum(parameter.numel() for parameter in inpainter.parameters()) == first_stage + unet
    assert not any(name.startswith("conditioner") for name in inpainter.state_dict())


@torch.no_grad()
def test_a_copy_encodes_with_its_own_first_stage(inpainter):
    twin, picture = copy.deepcopy(inpainter), masked_picture()
    for parameter in twin.autoencoder.parameters():
        nn.init.zeros_(parameter)
    assert twin.condition([picture]).concat[:, :3].abs().max() == 0
    assert inpainter.condition([picture]).concat[:, :3].abs().max() > 0.1


@torch.no_grad()
def test_a_model_in_16_bits_conditions_on_pictures(inpainter):
    model, picture = copy.deepcopy(inpainter).bfloat16(), masked_picture()
    expected = inpainter.condition([picture]).concat
    torch.testing.assert_close(model.condition([picture]).concat, expected, rtol=0.05, atol=0.05)  # 8 bits of mantissa


@pytest.mark.parametrize(
    "conditioner",
    [SemanticMapConfig(num_halvings=1), LowResolutionImageConfig(factor=2), MaskedImageConfig(latent_channels=3)],
)
def test_the_unet_must_read_what_is_concatenated(inpainter, conditioner):
    wanted = 3 + conditioner.concat_channels
    for channels in (3, wanted + 1):
        message = (
            f"the UNet has in_channels={channels}, but latents have 3 channels and the conditioner concatenates "
            f"{conditioner.concat_channels}; it must have {wanted}"
        )
        with pytest.raises(ConfigError, match=message):
            replace(
                inpainter.config, conditioner=conditioner, unet=replace(inpainter.config.unet, in_channels=channels)
            )


def test_an_unconditional_unet_reads_the_latent_alone(inpainter):
    with pytest.raises(ConfigError, match="in_channels=7, .* the conditioner concatenates 0; it must have 3"):
        replace(inpainter.config, conditioner=None)


@pytest.mark.parametrize(
    ("conditioner", "message"),
    [
        (SemanticMapConfig(num_halvings=2), "maps 4 times smaller than the image, but latents are 2 times smaller"),
        (LowResolutionImageConfig(factor=4), "maps 4 times smaller than the image, but latents are 2 times smaller"),
        (MaskedImageConfig(latent_channels=4), "the conditioner has latent_channels=4, the first stage 3"),
    ],
)
def test_maps_must_fit_the_first_stage(inpainter, conditioner, message):
    unet = replace(inpainter.config.unet, in_channels=3 + conditioner.concat_channels)
    with pytest.raises(ConfigError, match=message):
        replace(inpainter.config, conditioner=conditioner, unet=unet)

"""The released models' conditioners have these parameters exactly, and fit the UNets of the same names."""

import pytest
import torch

from ldm_lab.conditioning import TextTransformerConfig, build_conditioner, presets
from ldm_lab.unet import presets as unets

CLASSES = tuple(f"class {i}" for i in range(91))
HEADS = {640: 640 * 30_522 + 30_522, 1280: 1280 * 30_522 + 30_522}  # never called, but counted in the reference
COUNTS = {
    "cin256_v2": 1001 * 512,
    "text2img256": 186_154_682 - HEADS[640],
    "txt2img_1p4b": 581_994_042 - HEADS[1280],
    "layout2img_openimages256": 54_654_976,
    "semantic_synthesis256": 546,
    "bsr_sr": 0,
    "inpainting_big": 0,
}


def config_of(name):
    preset = getattr(presets, name)
    return preset(CLASSES) if name == "layout2img_openimages256" else preset()


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_conditioners_fit_their_unets_and_have_their_sizes(name, count, tokenizer):
    config, unet = config_of(name), getattr(unets, name)()
    with torch.device("meta"):
        conditioner = build_conditioner(config, tokenizer=tokenizer)
    assert sum(parameter.numel() for parameter in conditioner.parameters()) == count
    assert unet.in_channels == unet.out_channels + conditioner.concat_channels
    assert (unet.context_dim, unet.vector_dim) == (conditioner.context_dim, conditioner.vector_dim)
    assert config.concat_channels == conditioner.concat_channels


def test_every_conditioned_unet_has_its_conditioner():
    conditioned = {
        name
        for name, preset in vars(unets).items()
        if callable(preset)
        and preset.__module__ == unets.__name__
        and (preset().context_dim or preset().in_channels > preset().out_channels)
    }
    assert conditioned - set(COUNTS) == {
        "cin256",
        "stable_diffusion_1",
        "rdm768",
    }  # see the docstring; CLIP is not ours
    assert isinstance(presets.text2img256(), TextTransformerConfig)

"""The released models have these parameters exactly, counted on the paper's own classes."""

import pytest
import torch

from ldm_lab.checkpoints.weights import Uninitialised
from ldm_lab.unet import UNet, presets

COUNTS = {
    presets.celeba256: 274_056_163,
    presets.lsun_churches256: 294_966_916,
    presets.cin256: 394_984_196,
    presets.cin256_v2: 400_920_579,
    presets.text2img256: 403_623_939,
    presets.txt2img_1p4b: 872_300_484,
    presets.stable_diffusion_1: 859_520_964,
    presets.inpainting_big: 387_245_827,
    presets.bsr_sr: 113_622_563,
    presets.layout2img_openimages256: 246_277_379,
    presets.semantic_synthesis256: 215_229_315,
    presets.rdm768: 1_335_480_400,
}


@pytest.mark.parametrize(("preset", "count"), COUNTS.items(), ids=lambda value: getattr(value, "__name__", None))
def test_parameter_count(preset, count):
    with torch.device("meta"), Uninitialised():
        unet = UNet(preset())
    assert sum(parameter.numel() for parameter in unet.parameters()) == count

"""The released first stages have these parameters exactly, counted on the paper's own classes."""

import pytest
import torch

from ldm_lab.autoencoders import presets
from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.checkpoints.weights import Uninitialised

COUNTS = {
    presets.kl_f4: (55_312_063, 4),
    presets.kl_f8: (83_653_863, 8),
    presets.kl_f16: (69_610_963, 16),
    presets.kl_f32: (103_880_131, 32),
    presets.vq_f4: (55_322_782, 4),
    presets.vq_f4_noattn: (53_219_486, 4),
    presets.vq_f8: (67_717_295, 8),
    presets.vq_f8_n256: (67_652_783, 8),
    presets.vq_f16: (69_593_371, 16),
}


@pytest.mark.parametrize(("preset", "expected"), COUNTS.items(), ids=lambda value: getattr(value, "__name__", None))
def test_parameter_count_and_factor(preset, expected):
    config = preset()
    with torch.device("meta"), Uninitialised():
        autoencoder = Autoencoder(config)
    assert (sum(parameter.numel() for parameter in autoencoder.parameters()), config.downsampling_factor) == expected

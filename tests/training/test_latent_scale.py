import pytest
import torch
from torch import nn

from ldm_lab.checkpoints import load_autoencoder
from ldm_lab.core.errors import TrainingError
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.training.latent_scale import latent_figures, measure_scale


def test_scale_of_latents_that_are_all_alike():
    class Constant(nn.Module):
        def encode(self, x):
            from ldm_lab.autoencoders.bottlenecks import PointPosterior

            return PointPosterior(torch.ones(len(x), 2, 4, 4))

    with pytest.raises(TrainingError, match="the latents have the standard deviation 0.0"):
        measure_scale(Constant(), [torch.zeros(2, 3, 8, 8)])


def test_latent_figures_name_every_channel(first_stage):
    autoencoder = load_autoencoder(first_stage)
    with torch.no_grad():
        figures = latent_figures(autoencoder, autoencoder.encode(ShapeScenes(size=16).images([0, 1])))
    assert set(figures) == {
        "latent_std",
        "latent_std_0",
        "latent_std_1",
        "latent_mean_0",
        "latent_mean_1",
        "kl_per_dim",
    }

import pytest

from ldm_lab.training.autoencoder_stage import AutoencoderStage
from ldm_lab.training.presets import AUTOENCODERS, DIFFUSION


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_first_stages_can_be_built(name):
    stage = AutoencoderStage(AUTOENCODERS[name]())
    assert len(stage.batch(0, 1)["x"]) == 1


@pytest.mark.parametrize("name", DIFFUSION)
def test_presets_fit_their_first_stages(name):
    recipe, first = DIFFUSION[name](), AUTOENCODERS["own" if name == "own" else "shapes-kl-f4"]()
    assert recipe.unet.in_channels == recipe.unet.out_channels == first.autoencoder.latent_channels
    latent_side = recipe.data.size // first.autoencoder.downsampling_factor
    assert latent_side % recipe.unet.side_factor == 0

import pytest
import torch

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import VQConfig, codebook_use
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.core.errors import ConfigError
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.training.autoencoder_stage import AutoencoderRecipe
from ldm_lab.training.codebook import begin_on_data


@pytest.fixture
def autoencoder():
    torch.manual_seed(0)
    sizes = {"latent_channels": 2, "channels": 4, "channel_mult": (1, 2), "num_res_blocks": 1, "norm_groups": 2}
    return Autoencoder(AutoencoderConfig(bottleneck=VQConfig(num_codes=32), mid_attention=False, **sizes))


def test_codes_that_begin_on_the_data_are_used(autoencoder):
    x = ShapeScenes(size=16).images(range(16))
    with torch.no_grad():
        z = autoencoder.encode(x).mode()
        before = codebook_use(autoencoder.quantize.indices(z), 32)["codebook_usage"]
        begin_on_data(autoencoder, x, generator=torch.Generator().manual_seed(1))
        after = codebook_use(autoencoder.quantize.indices(z), 32)["codebook_usage"]
    assert after == 1.0  # every code is a token, and no two are the same
    assert before < 0.8
    tokens, codes = z.movedim(1, -1).flatten(0, -2), autoencoder.quantize.embedding.weight
    assert torch.cdist(codes, tokens).min(1).values.max() < 1e-3


def test_the_seed_decides_which_tokens(autoencoder):
    x = ShapeScenes(size=16).images(range(4))
    drawn = []
    for seed in (1, 1, 2):
        begin_on_data(autoencoder, x, generator=torch.Generator().manual_seed(seed))
        drawn.append(autoencoder.quantize.embedding.weight.detach().clone())
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


def test_a_kl_bottleneck_has_no_codes():
    with pytest.raises(ConfigError, match="codebook is 'from-data', but a KL bottleneck has no codes"):
        AutoencoderRecipe(codebook="from-data")

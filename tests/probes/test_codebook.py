"""Codes against brute force and against the autoencoder itself."""

import pytest
import torch

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.core.errors import RequestError
from ldm_lab.probes import codebook_usage, decode_codes, image_codes, latent_codes, nearest_codes, replace_code


@pytest.fixture(scope="module")
def autoencoder(make_tiny_model):
    return make_tiny_model(bottleneck=VQConfig(num_codes=6)).autoencoder


@pytest.fixture
def x():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


@torch.no_grad()
def test_codes_of_images_are_the_nearest_and_decode_to_the_reconstruction(autoencoder, x):
    codes = image_codes(autoencoder, x)
    assert codes.shape == (2, 8, 8)
    z_raw, vectors = autoencoder.encode(x).mode(), autoencoder.quantize.embedding.weight
    for (image, row, column), code in {(0, 0, 0): codes[0, 0, 0], (1, 7, 3): codes[1, 7, 3]}.items():
        distances = [(z_raw[image, :, row, column] - vector).norm().item() for vector in vectors]
        assert code == distances.index(min(distances))
    assert torch.equal(latent_codes(autoencoder, z_raw), codes)
    assert torch.equal(decode_codes(autoencoder, codes), autoencoder(x))
    assert codes.unique().numel() > 1


@torch.no_grad()
def test_single_codes_can_be_decoded(autoencoder):
    assert decode_codes(autoencoder, torch.arange(6)[:, None, None]).shape == (6, 3, 2, 2)


@torch.no_grad()
def test_a_code_is_replaced_everywhere_and_nowhere_else(autoencoder, x):
    codes = image_codes(autoencoder, x)
    old = codes.flatten().mode().values.item()
    new = (old + 1) % 6
    kept = codes.clone()
    replaced = replace_code(codes, old, new)
    assert torch.equal(codes, kept)
    assert not (replaced == old).any()
    assert torch.equal(replaced[codes != old], codes[codes != old])
    assert (replaced[codes == old] == new).all()
    assert (decode_codes(autoencoder, replaced) - decode_codes(autoencoder, codes)).abs().max() > 1e-3


def test_usage_of_known_codes(autoencoder):
    usage = codebook_usage(autoencoder, torch.tensor([[[0, 0], [2, 5]]]))
    assert usage.counts.tolist() == [2, 0, 1, 0, 0, 1]
    assert usage.usage == 0.5
    assert usage.perplexity == pytest.approx(2**1.5)  # entropy 1/2 · 1 + 2 · 1/4 · 2 = 1.5 bits
    assert usage.dead().tolist() == [1, 3, 4]
    assert usage.ranking() == [0.5, 0.25, 0.25]


def test_neighbours_are_those_of_brute_force(autoencoder):
    vectors = autoencoder.quantize.embedding.weight.detach()
    for code in range(6):
        codes, distances = nearest_codes(autoencoder, code, count=3)
        expected = sorted((torch.dist(vectors[code], vectors[k]).item(), k) for k in range(6) if k != code)[:3]
        assert codes.tolist() == [k for _, k in expected]
        assert distances.tolist() == pytest.approx([distance for distance, _ in expected], rel=1e-6)
    assert len(nearest_codes(autoencoder, 0, count=99)[0]) == 5


def test_codes_that_do_not_exist(autoencoder):
    with pytest.raises(RequestError, match="there is no code 6; the codebook has 6, counted from 0"):
        nearest_codes(autoencoder, 6)
    with pytest.raises(RequestError, match="count is 0; give at least 1"):
        nearest_codes(autoencoder, 1, count=0)
    with pytest.raises(RequestError, match="there is no code -1"):
        decode_codes(autoencoder, torch.tensor([[[0, -1]]]))
    with pytest.raises(RequestError, match="there is no code 7"):
        decode_codes(autoencoder, torch.tensor([[[0, 7]]]))


@pytest.mark.parametrize(
    "ask",
    [
        lambda a: image_codes(a, torch.zeros(1, 3, 16, 16)),
        lambda a: latent_codes(a, torch.zeros(1, 3, 8, 8)),
        lambda a: decode_codes(a, torch.zeros(1, 8, 8, dtype=torch.long)),
        lambda a: codebook_usage(a, torch.zeros(1, 8, 8, dtype=torch.long)),
        lambda a: nearest_codes(a, 0),
    ],
)
def test_a_kl_first_stage_has_none(tiny_model, ask):
    with pytest.raises(RequestError, match="has a KL bottleneck and no codebook: its latents are continuous"):
        ask(tiny_model.autoencoder)

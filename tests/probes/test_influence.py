"""What a cell does to pixels: nothing beyond the reach of convolutions, inside it what other measurements say."""

import copy

import pytest
import torch
from torch import nn

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.probes import ablation_influence, decoder_margin, gradient_influence
from ldm_lab.probes.influence import influence_radius

measures = pytest.mark.parametrize("measure", [ablation_influence, gradient_influence])


@pytest.fixture(scope="module")
def convolutional(make_tiny_model):
    """A decoder in which nothing sees the whole map: no attention, no group norms."""
    model = make_tiny_model()
    decoder = model.autoencoder.decoder
    decoder.mid_block.attentions = nn.ModuleList()
    for parent in list(decoder.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(parent, name, nn.Identity())
    return model


@pytest.fixture
def z():
    return torch.randn(3, 24, 16, generator=torch.Generator().manual_seed(0))


@measures
def test_convolutions_carry_a_cell_as_far_as_the_margin_and_no_further(convolutional, z, measure):
    (row, column), margin = (1, 4), decoder_margin(convolutional.config.autoencoder)
    assert margin == 24  # 1 + 4, 4 more, doubled and 1, 4 more and 1
    (heat,) = measure(convolutional, z, [(row, column)]).heat
    assert heat.shape == (48, 32)
    last = 2 * row + 1 + margin  # last row of its patch, and the margin
    assert (heat[last + 1 :] == 0).all()
    assert heat[last].max() > 0
    assert heat[2 * row].max() > heat[last].max()


@measures
def test_group_norms_reach_every_pixel(tiny_model, z, measure):
    """Negative control for the test above: its zeros are not those of a map that was never filled."""
    (heat,) = measure(tiny_model, z, [(1, 4)]).heat
    assert (heat > 0).double().mean() > 0.99


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_ablation_is_the_difference_between_two_decodes(tiny_model, z, batch_size):
    cells = [(0, 0), (5, 7), (23, 15)]
    influence = ablation_influence(tiny_model, z, cells, batch_size=batch_size)
    assert influence.cells == tuple(cells)
    for heat, (row, column) in zip(influence.heat, cells, strict=True):
        ablated = z.clone()
        for channel in range(3):
            ablated[channel, row, column] = z[channel].sum() / (24 * 16)
        difference = (tiny_model.decode(ablated[None]) - tiny_model.decode(z[None]))[0]
        expected = ((difference[0] ** 2 + difference[1] ** 2 + difference[2] ** 2) / 3).sqrt()
        torch.testing.assert_close(heat, expected, rtol=0.0, atol=1e-5)
        assert heat.max() > 1e-3


@torch.no_grad()
def test_the_gradient_is_the_limit_of_small_changes(make_tiny_model, z):
    model, z, step, cells = make_tiny_model().double(), z.double(), 1e-5, [(0, 3), (5, 7)]
    influence = gradient_influence(model, z, cells)
    for heat, (row, column) in zip(influence.heat, cells, strict=True):
        squares = torch.zeros(48, 32, dtype=torch.float64)
        for channel in range(3):
            more, less = z.clone(), z.clone()
            more[channel, row, column] += step
            less[channel, row, column] -= step
            derivative = (model.decode(more[None]) - model.decode(less[None]))[0] / (2 * step)
            squares += derivative.square().mean(0)
        torch.testing.assert_close(heat, squares.sqrt(), rtol=1e-5, atol=1e-8)


@measures
def test_the_model_and_the_latent_are_left_as_they_were(make_tiny_model, z, measure):
    model, kept = make_tiny_model(), z.clone()
    weights = copy.deepcopy(model.state_dict())
    heat = measure(model, z, [(2, 2)]).heat
    assert torch.equal(z, kept)
    assert not heat.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


def test_a_codebook_is_jumped_over_by_the_gradient_and_not_by_ablation(make_tiny_model):
    """With two codes far apart, a cell near the mean keeps its code when it is ablated."""
    model = make_tiny_model(bottleneck=VQConfig(num_codes=2))
    with torch.no_grad():
        model.autoencoder.quantize.embedding.weight.copy_(torch.tensor([[0.0] * 3, [9.0] * 3]))
    z = 0.01 * torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert ablation_influence(model, z, [(1, 1)]).heat.max() == 0
    assert ablation_influence(model, z, [(1, 1)]).radius.tolist() == [0.0]
    assert gradient_influence(model, z, [(1, 1)]).heat.max() > 1e-3


def test_the_radius_of_known_maps():
    heat = torch.zeros(9, 9)
    heat[4, 4] = 3.0
    assert influence_radius(heat, (4.0, 4.0)) == 0.0
    heat[4, 7] = 1.0  # a tenth of the squared heat, three pixels off
    assert influence_radius(heat, (4.0, 4.0), share=0.89) == 0.0
    assert influence_radius(heat, (4.0, 4.0), share=0.91) == pytest.approx(3.0)
    assert influence_radius(torch.zeros(9, 9), (4.0, 4.0)) == 0.0
    disc = torch.hypot(*(axis - 40.0 for axis in torch.meshgrid(*[torch.arange(81.0)] * 2, indexing="ij"))) <= 30
    assert influence_radius(disc.float(), (40.0, 40.0)) == pytest.approx(30 * 0.9**0.5, abs=0.5)


def test_the_radius_is_measured_from_the_middle_of_the_patch(convolutional, z):
    """f is 2, so the patch of cell (r, c) is rows 2r and 2r + 1, and its middle lies between them."""
    influence = ablation_influence(convolutional, z, [(8, 8)])
    expected = influence_radius(influence.heat[0], (16.5, 16.5))
    assert influence.radius.item() == pytest.approx(expected)
    assert 2.0 < expected < 24.0


@pytest.mark.parametrize(
    ("changes", "margin"),
    [({"channel_mult": (1,)}, 12), ({"channel_mult": (1, 2), "num_res_blocks": 1}, 24), ({}, 90)],
)
def test_the_margin_of_other_decoders(changes, margin):
    """By hand: one level 1 + 4 + 6 + 1; three levels ((11 doubled + 1 + 6) doubled + 1 + 6) + 1 with two blocks."""
    expected = {12: 1 + 4 + 6 + 1, 24: 2 * (1 + 4 + 4) + 1 + 4 + 1, 90: 2 * (2 * (1 + 4 + 6) + 1 + 6) + 1 + 6 + 1}
    assert decoder_margin(AutoencoderConfig(**changes)) == expected[margin]


@measures
def test_what_is_refused(tiny_model, z, measure):
    with pytest.raises(ShapeError, match=r"z has shape \(1, 3, 24, 16\); expected one latent \(3, h, w\)"):
        measure(tiny_model, z[None], [(0, 0)])
    with pytest.raises(RequestError, match=r"there is no cell \(24, 0\); the latent has 24 rows and 16 columns"):
        measure(tiny_model, z, [(0, 0), (24, 0)])
    with pytest.raises(RequestError, match="cells is empty; give"):
        measure(tiny_model, z, [])


def test_a_batch_must_hold_more_than_the_untouched_latent(tiny_model, z):
    with pytest.raises(RequestError, match="batch_size is 1; give at least 2"):
        ablation_influence(tiny_model, z, [(0, 0)], batch_size=1)

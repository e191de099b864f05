"""Statistics against scipy, torch's distributions, and tensors whose moments are known."""

import pytest
import scipy.stats
import torch
from torch.distributions import Normal, kl_divergence

from ldm_lab.core.errors import ShapeError
from ldm_lab.probes import channel_histograms, latent_statistics, normal_histogram


def test_it_agrees_with_scipy_and_torch(draw):
    z = draw(3, 2, 5, 7) * torch.tensor([0.5, 3.0])[:, None, None] + 0.7
    z[:, 1] = z[:, 1] ** 3
    found = latent_statistics(z)
    for channel in range(2):
        values = z[:, channel].flatten().numpy()
        assert found.mean[channel].item() == pytest.approx(values.mean())
        assert found.std[channel].item() == pytest.approx(values.std())
        assert found.kurtosis[channel].item() == pytest.approx(scipy.stats.kurtosis(values))
        expected = kl_divergence(Normal(values.mean(), values.std()), Normal(0.0, 1.0))
        assert found.kl[channel].item() == pytest.approx(expected.item(), rel=1e-5)


def test_known_tensors():
    z = torch.tensor([[1.0, -1.0, 1.0, -1.0], [0.0, 0.0, 0.0, 4.0]]).reshape(1, 2, 2, 2)
    found = latent_statistics(z)
    assert found.mean.tolist() == [0.0, 1.0]
    assert found.std.tolist() == pytest.approx([1.0, 3**0.5])
    assert found.kurtosis.tolist() == pytest.approx([-2.0, 84 / 4 / 9 - 3])  # fourth powers: 3 · 1 + 81
    assert found.kl[0].item() == 0.0


def test_the_prior_has_the_numbers_of_the_prior(draw):
    found = latent_statistics(draw(16, 3, 64, 64))  # 65,536 values a channel: bounds are five standard errors
    assert found.mean.abs().max() < 5 / 256
    assert (found.std - 1).abs().max() < 5 / 256 / 2**0.5
    assert found.kurtosis.abs().max() < 5 * 24**0.5 / 256
    assert found.kl.max() < 1e-3


def test_values_that_are_not_finite_are_counted_and_left_out():
    z = torch.tensor([1.0, 3.0, torch.nan, torch.inf, -torch.inf, torch.nan] + [torch.nan] * 6).reshape(1, 2, 2, 3)
    found = latent_statistics(z)
    assert found.num_nan.tolist() == [2, 6]
    assert found.num_infinite.tolist() == [2, 0]
    assert found.num_broken == 10
    assert (found.mean[0].item(), found.std[0].item()) == (2.0, 1.0)
    assert found.mean[1].isnan()


def test_a_constant_channel():
    found = latent_statistics(torch.full((1, 1, 2, 2), 3.0))
    assert found.std.item() == 0
    assert found.kurtosis.isnan()
    assert found.kl.isposinf()


def test_half_precision_does_not_overflow():
    found = latent_statistics(torch.tensor([300.0, -300.0]).half().reshape(1, 1, 1, 2))
    assert found.std.item() == 300.0
    assert found.kurtosis.item() == pytest.approx(-2.0)


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"z has shape \(3, 4, 4\); expected latents \(B, C, h, w\)"):
        latent_statistics(torch.zeros(3, 4, 4))


class TestHistograms:
    def test_of_the_standard_normal_it_is_its_density(self, draw):
        found = channel_histograms(draw(1, 400, 500), bins=16, limit=4.0)
        middles = torch.linspace(-3.75, 3.75, 16, dtype=torch.float64)
        expected = Normal(torch.tensor(0.0), torch.tensor(1.0)).log_prob(middles).exp()
        torch.testing.assert_close(normal_histogram(bins=16), expected)
        torch.testing.assert_close(found[0], expected, rtol=0, atol=0.02)  # 200,000 draws, bins half a unit wide
        assert found.sum().item() * 0.5 == pytest.approx(1.0)

    def test_what_lies_beyond_counts_at_the_edge_and_what_is_no_number_does_not(self):
        z = torch.tensor([[[9.0, -9.0, 0.1, torch.nan]], [[torch.inf, torch.nan, torch.nan, torch.nan]]])
        found = channel_histograms(z, bins=4, limit=2.0)
        assert found[0].tolist() == pytest.approx([1 / 3, 0.0, 1 / 3, 1 / 3])
        assert found[1].tolist() == [0.0] * 4

    def test_a_batch_is_refused(self):
        with pytest.raises(ShapeError, match="expected one latent"):
            channel_histograms(torch.zeros(1, 2, 3, 4))

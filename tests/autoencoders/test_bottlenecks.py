"""KL and VQ against closed forms and brute force."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

from ldm_lab.autoencoders.bottlenecks import (
    GaussianPosterior,
    KLConfig,
    PointPosterior,
    VQBottleneck,
    VQConfig,
    build_bottleneck,
    codebook_use,
    nearest_code,
)
from ldm_lab.core.errors import ConfigError

EXACT = {"rtol": 0.0, "atol": 1e-12}


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def vq() -> VQBottleneck:
    torch.manual_seed(0)
    bottleneck = VQBottleneck(VQConfig(num_codes=16), latent_channels=3).double()
    torch.nn.init.normal_(bottleneck.embedding.weight)
    return bottleneck


class LargestTensor(TorchDispatchMode):
    """Remembers the largest tensor that any operation returned."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **kwargs or {})
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor) and not func.is_view:
                self.numel = max(self.numel, tensor.numel())
        return out


# Gaussian posterior


def test_kl_and_its_gradient_are_those_of_the_distributions(draw):
    mean, logvar = draw(2, 3, 4, 5).requires_grad_(), draw(2, 3, 4, 5).requires_grad_()
    kl = GaussianPosterior(mean, logvar).kl()
    expected = kl_divergence(Normal(mean, torch.exp(0.5 * logvar)), Normal(torch.zeros(()), torch.ones(())))
    torch.testing.assert_close(kl, expected, **EXACT)
    gradients, wanted = (torch.autograd.grad(value.sum(), (mean, logvar)) for value in (kl, expected))
    torch.testing.assert_close(gradients, wanted, **EXACT)


def test_the_standard_normal_costs_nothing_and_everything_else_something(draw):
    zeros = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    assert torch.equal(GaussianPosterior(zeros, zeros).kl(), zeros)
    assert GaussianPosterior(draw(1, 1, 2, 2), draw(1, 1, 2, 2)).kl().min() > 0.0


def test_the_log_variance_is_clamped_and_then_has_no_gradient():
    logvar = torch.tensor([-1e4, -31.0, -29.0, 1.0, 19.0, 21.0, 1e4]).view(1, 1, 1, 7).requires_grad_()
    posterior = GaussianPosterior.from_moments(torch.cat([torch.zeros(1, 1, 1, 7), logvar], dim=1))
    assert posterior.logvar.flatten().tolist() == [-30.0, -30.0, -29.0, 1.0, 19.0, 20.0, 20.0]
    posterior.kl().sum().backward()
    assert logvar.grad.isfinite().all()
    assert (logvar.grad.flatten() != 0.0).tolist() == [False, False, True, True, True, False, False]


def test_a_draw_has_the_moments_of_the_posterior():
    mean, logvar = torch.full((1, 1, 256, 256), 3.0), torch.full((1, 1, 256, 256), 2.0 * math.log(0.5))
    z_raw = GaussianPosterior(mean, logvar).sample(torch.Generator().manual_seed(0))
    assert z_raw.mean().item() == pytest.approx(3.0, abs=4 * 0.5 / 256)  # four standard errors of 65,536 numbers
    assert z_raw.std().item() == pytest.approx(0.5, abs=4 * 0.5 / 256 / math.sqrt(2))


def test_a_draw_is_a_function_of_the_generator_and_differentiable(draw):
    mean, logvar = draw(1, 2, 3, 3).requires_grad_(), draw(1, 2, 3, 3).requires_grad_()
    posterior = GaussianPosterior(mean, logvar)
    first, again, other = (posterior.sample(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    gradients = torch.autograd.grad(first.sum(), (mean, logvar))
    torch.testing.assert_close(gradients[0], torch.ones_like(mean))
    torch.testing.assert_close(gradients[1], 0.5 * (first - mean), **EXACT)  # of exp(logvar / 2) · noise


def test_the_kl_bottleneck_sums_over_a_latent_and_averages_over_the_batch(draw):
    bottleneck, moments = build_bottleneck(KLConfig(), 3), draw(2, 6, 4, 4)
    posterior = bottleneck.posterior(moments)
    bottlenecked = bottleneck(posterior, torch.Generator().manual_seed(0))
    torch.testing.assert_close(bottlenecked.penalty, posterior.kl().sum() / 2)
    torch.testing.assert_close(bottlenecked.figures["kl_per_dim"], posterior.kl().mean())
    assert torch.equal(bottlenecked.z_decoder, posterior.sample(torch.Generator().manual_seed(0)))
    assert torch.equal(bottleneck.to_decoder(moments), moments)


# Codebook


def test_the_gradient_of_the_decoder_input_reaches_the_encoder_unchanged(vq, draw):
    z_raw = draw(2, 3, 4, 4).requires_grad_()
    z_decoder = vq(PointPosterior(z_raw)).z_decoder
    z_decoder.retain_grad()
    (z_decoder * draw(2, 3, 4, 4)).sum().backward()
    assert torch.equal(z_raw.grad, z_decoder.grad)
    assert vq.embedding.weight.grad is None  # reconstruction does not move the codes


def test_the_decoder_reads_codes_only(vq, draw):
    z_decoder = vq(PointPosterior(draw(2, 3, 4, 4))).z_decoder.movedim(1, -1).reshape(-1, 3)
    distances = (z_decoder[:, None] - vq.embedding.weight).norm(dim=2)
    assert distances.min(dim=1).values.max() < 1e-12


def test_only_chosen_codes_move(vq, draw):
    z_raw = draw(1, 3, 2, 2)
    chosen = vq.indices(z_raw).flatten()
    vq(PointPosterior(z_raw)).penalty.backward()
    moved = vq.embedding.weight.grad.abs().sum(dim=1) > 0.0
    assert moved.nonzero().flatten().tolist() == sorted(set(chosen.tolist()))
    assert not moved.all()


@pytest.mark.parametrize(("beta_on", "to_codes", "to_encoder"), [("codebook", 0.3, 1.0), ("commitment", 1.0, 0.3)])
def test_beta_weighs_the_term_that_the_config_names(draw, beta_on, to_codes, to_encoder):
    torch.manual_seed(0)
    vq = build_bottleneck(VQConfig(num_codes=8, beta=0.3, beta_on=beta_on), 3).double()
    z_raw = draw(1, 3, 2, 2).requires_grad_()
    bottlenecked = vq(PointPosterior(z_raw))
    bottlenecked.penalty.backward()
    difference = (z_raw - vq.to_decoder(z_raw)).detach()  # (1, 3, 2, 2)
    torch.testing.assert_close(bottlenecked.penalty.detach(), 1.3 * difference.square().mean())
    torch.testing.assert_close(z_raw.grad, to_encoder * 2.0 * difference / 12)
    torch.testing.assert_close(vq.embedding.weight.grad.sum(dim=0), -to_codes * 2.0 * difference.sum((0, 2, 3)) / 12)


def test_new_codes_lie_within_one_over_their_number():
    weight = build_bottleneck(VQConfig(num_codes=64), 3).embedding.weight
    assert 0.9 / 64 < weight.abs().max() <= 1.0 / 64


def test_quantising_twice_changes_nothing(vq, draw):
    z_q = vq.to_decoder(draw(2, 3, 4, 4))
    assert torch.equal(vq.to_decoder(z_q), z_q)
    assert torch.equal(vq.codes(vq.indices(z_q)), z_q)


# Search


@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 6), st.integers(1, 200), st.integers(0, 1000))
def test_the_nearest_code_is_that_of_brute_force(tokens, codes, channels, max_elements, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens, channels, generator=generator, dtype=torch.float64)
    codebook = torch.randn(codes, channels, generator=generator, dtype=torch.float64)
    expected = (x[:, None] - codebook[None]).square().sum(dim=2).argmin(dim=1)
    assert torch.equal(nearest_code(x, codebook, max_elements=max_elements), expected)


@pytest.mark.parametrize("max_elements", [1, 4, 1 << 22])
def test_the_lowest_index_wins_a_tie(max_elements):
    codes = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    tokens = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.5, 0.5], [-3.0, 0.0]])
    assert nearest_code(tokens, codes, max_elements=max_elements).tolist() == [1, 1, 1, 4]


def test_half_precision_is_searched_in_single():
    generator = torch.Generator().manual_seed(0)
    tokens, codes = (torch.randn(count, 4, generator=generator).bfloat16() for count in (200, 500))
    expected = torch.cdist(tokens.double(), codes.double()).argmin(dim=1)
    assert (nearest_code(tokens, codes) == expected).float().mean() > 0.99  # bfloat16 codes make some true ties


def test_autocast_does_not_reach_the_search():
    generator = torch.Generator().manual_seed(0)
    tokens, codes = torch.randn(200, 4, generator=generator), torch.randn(500, 4, generator=generator)
    expected = nearest_code(tokens, codes)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nearest_code(tokens, codes), expected)
        rounded = (0.5 * codes.square().sum(1) - tokens @ codes.T).argmin(1)
    assert not torch.equal(rounded, expected)  # negative control: in 16 bits other codes are nearest


def test_the_distance_matrix_is_never_whole():
    tokens, codes, max_elements = torch.randn(300, 2), torch.randn(100, 2), 1000
    with LargestTensor() as sliced:
        nearest_code(tokens, codes, max_elements=max_elements)
    with LargestTensor() as whole:
        nearest_code(tokens, codes)
    assert sliced.numel <= max_elements
    assert whole.numel == 300 * 100  # negative control: the probe sees the matrix where it is built


# Figures


@given(st.lists(st.integers(0, 9), min_size=1, max_size=50))
def test_perplexity_lies_between_one_and_the_number_of_codes_in_use(indices):
    figures = codebook_use(torch.tensor(indices), 10)
    used = len(set(indices))
    assert 1.0 - 1e-12 <= figures["codebook_perplexity"] <= used + 1e-9
    assert figures["codebook_usage"] == pytest.approx(used / 10)


def test_perplexity_of_one_code_and_of_all_alike():
    assert codebook_use(torch.full((2, 4, 4), 3), 8)["codebook_perplexity"] == 1.0
    assert codebook_use(torch.arange(8), 8)["codebook_perplexity"].item() == pytest.approx(8.0)
    assert codebook_use(torch.tensor([0, 0, 0, 1]), 8)["codebook_perplexity"].item() == pytest.approx(1.7547654)


def test_mistakes_in_a_config_are_named():
    with pytest.raises(ConfigError, match="num_codes is 1"):
        VQConfig(num_codes=1)
    with pytest.raises(ConfigError, match="beta_on is 'both'"):
        VQConfig(beta_on="both")

"""The loss of stage 1 against its parts, taken by hand."""

from dataclasses import replace

import pytest
import torch

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.discriminator import discriminator_loss
from ldm_lab.autoencoders.objective import AutoencoderObjective, AutoencoderObjectiveConfig

KL = AutoencoderConfig(
    latent_channels=2, channels=4, channel_mult=(1, 2), num_res_blocks=1, norm_groups=2, mid_attention=False
)
VQ = replace(KL, bottleneck=VQConfig(num_codes=8))
GAME = AutoencoderObjectiveConfig(
    perceptual="none", adversarial_start=3, discriminator_channels=4, discriminator_layers=1, adversarial_weight=0.5
)
QUIET = replace(GAME, adversarial_weight=0.0)


def build(config=GAME, autoencoder=KL):
    torch.manual_seed(0)
    return AutoencoderObjective(Autoencoder(autoencoder), config).double()


def images(seed=0):
    return torch.rand(2, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def evaluate(objective, *, step=5):
    return objective(images(), step=step, generator=torch.Generator().manual_seed(1))


def reconstruct(objective):
    """x_hat and the bottleneck's result, with the same noise as ``evaluate``."""
    autoencoder = objective.autoencoder
    bottlenecked = autoencoder.quantize(autoencoder.encode(images()), torch.Generator().manual_seed(1))
    return autoencoder.decode_bottlenecked(bottlenecked.z_decoder), bottlenecked


@pytest.mark.parametrize("pixel", ["l1", "l2"])
def test_kl_objective_is_the_mean_error_and_nats_a_pixel(pixel):
    objective = build(replace(QUIET, pixel=pixel, regularisation_weight=0.1))
    x_hat, _ = reconstruct(objective)
    error = (x_hat - images()).abs() if pixel == "l1" else (x_hat - images()) ** 2
    nats = objective.autoencoder.encode(images()).kl().sum() / 2
    value = evaluate(objective)
    torch.testing.assert_close(value.total, error.mean() + 0.1 * nats / (3 * 16 * 16))
    assert set(value.terms) == {"pixel", "regularisation", "kl_per_dim"}
    assert not any(term.requires_grad for term in value.terms.values())


@pytest.mark.parametrize("pixel", ["l1", "l2"])
def test_half_size_latents_are_asked_for_half_size_images(pixel):
    objective = build(replace(QUIET, pixel=pixel, half_size_weight=0.25))
    _, bottlenecked = reconstruct(objective)
    small = bottlenecked.z_decoder.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    error = objective.autoencoder.decode_bottlenecked(small) - images().unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    expected = error.abs().mean() if pixel == "l1" else error.square().mean()
    value, plain = evaluate(objective), evaluate(build(replace(QUIET, pixel=pixel)))
    torch.testing.assert_close(value.terms["half_size"], expected.detach())
    torch.testing.assert_close(value.total, plain.total + 0.25 * expected)
    assert "half_size" not in plain.terms


def test_decoders_may_be_disturbed_by_noise_of_a_share_of_the_spread():
    objective, plain = build(replace(QUIET, latent_noise=0.5)), build(QUIET)
    z = 3.0 * torch.randn(400, 2, 4, 4) * torch.tensor([1.0, 10.0])[:, None, None]
    noise = (objective._disturbed(z, torch.Generator().manual_seed(0)) - z) / z.std(dim=(0, 2, 3), keepdim=True)
    amounts = noise.flatten(1).std(dim=1)
    assert amounts.max() < 0.9
    assert noise.square().mean().item() == pytest.approx(0.5**2 / 3, rel=0.1)  # amounts are uniform below 0.5
    torch.testing.assert_close(noise[:, 0].std(), noise[:, 1].std(), rtol=0.1, atol=0)
    assert plain._disturbed(z, None) is z
    assert evaluate(objective).total != evaluate(plain).total


def test_vq_objective_adds_the_mean_codebook_term():
    objective = build(replace(QUIET, regularisation_weight=2.0), VQ)
    x_hat, bottlenecked = reconstruct(objective)
    value = evaluate(objective)
    torch.testing.assert_close(value.total, (x_hat - images()).abs().mean() + 2.0 * bottlenecked.penalty)
    assert value.terms["codebook_perplexity"] >= 1.0


def test_the_perceptual_distance_is_weighed_in():
    objective = build(replace(QUIET, perceptual="random-features", perceptual_weight=3.0, regularisation_weight=0.0))
    value = evaluate(objective)
    assert value.terms["perceptual"] > 0
    torch.testing.assert_close(value.total.detach(), value.terms["pixel"] + 3.0 * value.terms["perceptual"])


@pytest.mark.parametrize(("step", "plays"), [(0, False), (2, False), (3, True), (100, True)])
def test_the_discriminator_starts_with_the_term_of_the_generator(step, plays):
    """Before, it is not evaluated at all: no gradient, no batch-norm statistics."""
    objective = build()
    before = {name: tensor.clone() for name, tensor in objective.discriminator.state_dict().items()}
    value = evaluate(objective, step=step)
    value.total.backward()
    assert ("fooling" in value.terms, "judging" in value.terms) == (plays, plays)
    gradients = [parameter.grad is not None for parameter in objective.discriminator.parameters()]
    assert gradients == [plays] * len(gradients)
    statistics = [
        name for name, tensor in objective.discriminator.state_dict().items() if not tensor.equal(before[name])
    ]
    assert bool(statistics) == plays


def test_weight_zero_builds_no_discriminator():
    assert build(QUIET).discriminator is None


def test_the_adaptive_weight_is_the_ratio_of_both_gradients_at_the_last_layer():
    """VQGAN (Esser et al. 2021), eq. 7, with gradients by central differences instead of autograd."""
    objective = build()
    last = objective.autoencoder.decoder.conv_out.weight
    x = images()

    @torch.no_grad()
    def losses():
        x_hat, _ = reconstruct(objective)
        return torch.stack([(x_hat - x).abs().mean(), -objective.discriminator(x_hat).mean()])

    step = 1e-6
    differences = []
    for index in range(last.numel()):
        where = torch.unravel_index(torch.tensor(index), last.shape)
        place = last.data[where].clone()
        last.data[where] = place + step
        above = losses()
        last.data[where] = place - step
        differences.append((above - losses()) / (2 * step))
        last.data[where] = place
    wanted, given = torch.stack(differences).norm(dim=0)
    value = evaluate(objective)
    expected = 0.5 * wanted / (given + 1e-4)
    torch.testing.assert_close(value.terms["adversarial_weight"], expected, rtol=1e-4, atol=0)
    quiet = objective.config.regularisation_weight * value.terms["regularisation"] + value.terms["pixel"]
    total = quiet + value.terms["adversarial_weight"] * value.terms["fooling"] + value.terms["judging"]
    torch.testing.assert_close(value.total.detach(), total)


def test_the_adaptive_weight_is_bounded_and_carries_no_gradient():
    objective = build()
    last = objective.autoencoder.decoder.conv_out.weight
    large, small = 1e9 * last.sum(), 1e-9 * last.sum()
    assert objective._adaptive_weight(large, small).item() == 1e4
    assert not objective._adaptive_weight(large, small).requires_grad
    with torch.no_grad():
        assert objective._adaptive_weight(large, small).item() == 1.0


def test_fooling_teaches_the_decoder_and_not_the_discriminator():
    """The discriminator's gradient is that of its own loss on detached images; the decoder gets none of that loss."""
    objective = build()
    evaluate(objective).total.backward()
    found = {name: parameter.grad.clone() for name, parameter in objective.discriminator.named_parameters()}
    decoder = objective.autoencoder.decoder.conv_in.weight.grad.clone()

    other = build()
    x_hat, bottlenecked = reconstruct(other)
    judging = discriminator_loss(other.discriminator(images()), other.discriminator(x_hat.detach()), kind="hinge")
    for (name, expected), gradient in zip(
        found.items(), torch.autograd.grad(judging, list(other.discriminator.parameters())), strict=True
    ):
        torch.testing.assert_close(expected, gradient, msg=lambda text, name=name: f"{name}: {text}")
    weight = evaluate(objective).terms["adversarial_weight"]
    penalty = other.config.regularisation_weight * bottlenecked.penalty / (3 * 16 * 16)
    generator_side = (x_hat - images()).abs().mean() + penalty - weight * other.discriminator(x_hat).mean()
    (expected,) = torch.autograd.grad(generator_side, other.autoencoder.decoder.conv_in.weight)
    torch.testing.assert_close(decoder, expected)
    assert objective.autoencoder.encoder.conv_in.weight.grad.abs().sum() > 0


def test_images_are_left_as_they_are():
    objective, x = build(), images()
    before = x.clone()
    objective(x, step=5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(x, before, rtol=0, atol=0)

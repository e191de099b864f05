import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ldm_lab.autoencoders.discriminator import PatchDiscriminator, discriminator_loss, generator_loss


@pytest.mark.parametrize(("num_layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_every_output_judges_one_patch(num_layers, field):
    """70 pixels with three layers of stride 2 (Isola et al. 2017, section 4.4)."""
    discriminator = PatchDiscriminator(channels=2, num_layers=num_layers).eval()
    for module in discriminator.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)  # no path cancels another
    x = torch.rand(1, 3, 128, 128, requires_grad=True)
    logits = discriminator(x)
    row = logits.shape[2] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, row, row], x)
    touched = gradient[0].abs().sum(0) > 0
    assert touched.any(0).sum() == touched.any(1).sum() == field


def test_widths_double_up_to_eight_times():
    convs = [m for m in PatchDiscriminator(channels=4, num_layers=5).modules() if isinstance(m, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [4, 8, 16, 32, 32, 32, 1]
    assert [conv.stride[0] for conv in convs] == [2, 2, 2, 2, 2, 1, 1]


def test_starting_values_are_those_of_dcgan():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator()
    for module in discriminator.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 5000:
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1.0, abs=0.01)
            assert module.bias.abs().sum() == 0


def test_hinge_loss_by_hand():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    expected = 0.5 * ((0.0 + 0.5 + 2.0) / 3 + (0.0 + 1.0 + 2.0) / 3)
    assert discriminator_loss(real, fake, kind="hinge").item() == pytest.approx(expected)


def test_vanilla_loss_is_cross_entropy():
    real, fake = torch.randn(50), torch.randn(50)
    expected = 0.5 * (
        F.binary_cross_entropy_with_logits(real, torch.ones(50))
        + F.binary_cross_entropy_with_logits(fake, torch.zeros(50))
    )
    torch.testing.assert_close(discriminator_loss(real, fake, kind="vanilla"), expected)


@pytest.mark.parametrize("kind", ["hinge", "vanilla"])
def test_a_discriminator_that_is_right_pays_less(kind):
    right = discriminator_loss(torch.full((4,), 3.0), torch.full((4,), -3.0), kind=kind)
    wrong = discriminator_loss(torch.full((4,), -3.0), torch.full((4,), 3.0), kind=kind)
    assert right < 0.1 < wrong
    assert generator_loss(torch.full((4,), 3.0)) < generator_loss(torch.full((4,), -3.0))

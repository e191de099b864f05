import pytest
import torch
from torch import nn

from ldm_lab.training.ema import ExponentialAverage


def weights_at(step):
    return torch.full((3,), float(step**2), dtype=torch.float64)


def averaged(decay, steps):
    module = nn.ParameterList([weights_at(0)])
    average = ExponentialAverage(module, decay=decay)
    for step in range(1, steps + 1):
        module[0].data.copy_(weights_at(step))
        average.update()
    return average.average["0"][0].item()


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.9999])
def test_closed_form_with_warm_up(decay):
    """sum over k of (1 - d_k) w_k times the product of all later d, with d_k = min(d, (1 + k) / (10 + k))."""
    steps = 60
    decays = [min(decay, (1 + k) / (10 + k)) for k in range(steps)]
    expected, remaining = 0.0, 1.0
    for k in reversed(range(steps)):
        expected += remaining * (1 - decays[k]) * (k + 1) ** 2
        remaining *= decays[k]
    assert averaged(decay, steps) == pytest.approx(expected, rel=1e-12)  # the start itself was zero


def test_decay_zero_keeps_the_last_weights():
    assert averaged(0.0, 7) == 49.0


def test_all_parameters_are_averaged_and_not_one_twice():
    module = nn.ModuleDict({"unet": nn.Linear(2, 2), "conditioner": nn.Embedding(3, 2)})
    average = ExponentialAverage(module, decay=0.9)
    assert set(average.average) == {"unet.weight", "unet.bias", "conditioner.weight"}


def test_applied_lends_the_average_and_gives_the_weights_back_also_after_an_error():
    module = nn.Linear(2, 2).train()
    average = ExponentialAverage(module, decay=0.9)
    start = module.weight.detach().clone()
    module.weight.data.add_(1.0)

    def block():
        with average.applied() as lent:
            assert not lent.training
            torch.testing.assert_close(lent.weight.detach(), start, rtol=0, atol=0)
            lent.weight.data.mul_(5.0)  # what is done to the lent weights does not stay
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert module.training
    torch.testing.assert_close(module.weight.detach(), start + 1.0, rtol=0, atol=0)
    torch.testing.assert_close(average.average["weight"], start, rtol=0, atol=0)


def test_the_average_shares_no_memory_with_the_weights():
    module = nn.Linear(2, 2)
    average = ExponentialAverage(module, decay=0.9)
    module.weight.data.zero_()
    assert average.average["weight"].abs().sum() > 0


def test_memory_layout_does_not_matter():
    module = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    average = ExponentialAverage(module, decay=0.0)
    other = torch.randn(4, 3, 3, 3)
    average.load({"weight": other, "bias": torch.zeros(4)}, num_updates=5)
    torch.testing.assert_close(average.average["weight"], other, rtol=0, atol=0)
    average.update()
    torch.testing.assert_close(average.average["weight"], module.weight.detach(), rtol=0, atol=0)
    assert average.num_updates == 6

"""A widened UNet computes what the narrow one did, whatever is concatenated, and learns to read it."""

import pytest
import torch

from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.errors import ConfigError
from ldm_lab.unet import UNet, widen_input

ROUNDING = {"rtol": 0.0, "atol": 1e-12}  # of float64: a convolution of more channels may sum in another order


def widened(unet, make_unet, in_channels, **changes):
    wide = make_unet(in_channels=in_channels, **changes)
    wide.load_state_dict(widen_input(unet.state_dict(), in_channels=in_channels))
    return wide


@pytest.mark.parametrize("size", [0.0, 1.0, 1e6])
@torch.no_grad()
def test_new_channels_change_nothing_whatever_they_hold(make_unet, draw, size):
    unet, z_t, t = make_unet(), draw(2, 3, 4, 8), torch.tensor([7, 900])
    cond = Conditioning(concat=size * draw(2, 4, 4, 8))
    torch.testing.assert_close(widened(unet, make_unet, 7)(z_t, t, cond), unet(z_t, t), **ROUNDING)


@torch.no_grad()
def test_channels_that_were_read_are_still_read(make_unet, draw):
    """From 5 to 9: the two concatenated channels of before stay where they are; negative control of the test above."""
    unet, z_t, t, old, new = (
        make_unet(in_channels=5),
        draw(1, 3, 4, 8),
        torch.tensor([7]),
        draw(1, 2, 4, 8),
        draw(1, 4, 4, 8),
    )
    wide = widened(unet, make_unet, 9)
    out = wide(z_t, t, Conditioning(concat=torch.cat([old, new], dim=1)))
    torch.testing.assert_close(out, unet(z_t, t, Conditioning(concat=old)), **ROUNDING)
    assert (out - wide(z_t, t, Conditioning(concat=torch.cat([old + 1, new], dim=1)))).abs().max() > 1e-3


def test_gradients_reach_the_new_channels(make_unet, draw):
    wide = widened(make_unet(), make_unet, 5)
    wide(draw(1, 3, 4, 8), torch.tensor([7]), Conditioning(concat=draw(1, 2, 4, 8))).square().sum().backward()
    assert wide.conv_in.weight.grad[:, 3:].abs().max() > 0


def test_everything_else_is_handed_on_and_nothing_is_changed(make_unet):
    state = make_unet().state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    wide = widen_input(state, in_channels=7)
    assert wide["conv_in.weight"].shape[1] == 7
    assert all(wide[name] is tensor for name, tensor in state.items() if name != "conv_in.weight")
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())
    same = widen_input(state, in_channels=3)
    assert torch.equal(same["conv_in.weight"], state["conv_in.weight"])


def test_narrowing_is_refused(make_unet):
    unet: UNet = make_unet(in_channels=7)
    with pytest.raises(ConfigError, match="the first convolution reads 7 channels, it cannot be cut to 3"):
        widen_input(unet.state_dict(), in_channels=3)

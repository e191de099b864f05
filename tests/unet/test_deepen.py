"""A deepened UNet computes what the shallow one did, and all of it learns."""

import pytest
import torch

from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.errors import ConfigError
from ldm_lab.unet import deepen, thin


def deepened(unet, make_unet, num_res_blocks, **changes):
    deep = make_unet(num_res_blocks=num_res_blocks, **changes)
    deep.load_state_dict(deepen(unet.state_dict(), unet.config, num_res_blocks=num_res_blocks))
    return deep


@pytest.mark.parametrize("changes", [{}, {"resblock_updown": True}, {"scale_shift_norm": True}, {"context_dim": 6}])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 3), (2, 4), (2, 2)])
@torch.no_grad()
def test_new_blocks_change_nothing(make_unet, draw, before, after, changes):
    unet, z_t, t = make_unet(num_res_blocks=before, **changes), draw(2, 3, 4, 8), torch.tensor([7, 900])
    cond = Conditioning(context=draw(2, 5, 6)) if "context_dim" in changes else None
    for parameter in unet.parameters():  # a fresh UNet predicts zeros, as any wrong copy of it would
        parameter.copy_(0.1 * torch.randn(parameter.shape))
    expected = unet(z_t, t, cond)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(
        deepened(unet, make_unet, after, **changes)(z_t, t, cond), expected, rtol=1e-5, atol=1e-6
    )


def test_gradients_reach_the_new_blocks(make_unet, draw):
    unet = make_unet(num_res_blocks=1)
    torch.nn.init.normal_(unet.conv_out.weight)
    deep = deepened(unet, make_unet, 2)
    deep(draw(1, 3, 4, 8), torch.tensor([7])).square().sum().backward()
    new = [level.resnets[1] for level in (*deep.down_blocks, *deep.up_blocks)]
    assert all(block.conv2.weight.grad.abs().max() > 0 for block in new)


@pytest.mark.parametrize("changes", [{}, {"resblock_updown": True}, {"context_dim": 6}])
@pytest.mark.parametrize(("few", "many"), [(1, 2), (1, 3), (2, 4), (2, 2)])
def test_a_thinned_unet_is_the_one_that_was_deepened(make_unet, few, many, changes):
    unet = make_unet(num_res_blocks=few, **changes)
    deep = deepened(unet, make_unet, many, **changes)
    thinned = thin(deep.state_dict(), deep.config, num_res_blocks=few)
    assert thinned.keys() == unet.state_dict().keys()
    for name, tensor in unet.state_dict().items():
        assert torch.equal(thinned[name], tensor), name


def test_thinning_to_more_blocks_is_refused(make_unet):
    unet = make_unet(num_res_blocks=1)
    with pytest.raises(ConfigError, match="the UNet has 1 residual blocks a level, 2 are more"):
        thin(unet.state_dict(), unet.config, num_res_blocks=2)


def test_a_shallower_one_is_refused(make_unet):
    unet = make_unet(num_res_blocks=2)
    with pytest.raises(ConfigError, match="the UNet has 2 residual blocks a level, 1 are fewer"):
        deepen(unet.state_dict(), unet.config, num_res_blocks=1)

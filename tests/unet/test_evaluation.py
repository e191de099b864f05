"""What hooks see of a bound UNet."""

import pytest
import torch

STEPS = torch.tensor([999, 500, 0])


@torch.no_grad()
@pytest.mark.parametrize(
    ("parts", "changes"),
    [(("context",), {"context_dim": 6}), (("concat",), {"in_channels": 5}), ((), {})],
    ids=["context", "concat", "nothing"],
)
def test_a_hook_sees_what_is_asked_and_what_is_answered(make_unet, make_cond, draw, parts, changes):
    unet, z_t, seen = make_unet(**changes), draw(2, 3, 4, 8), []
    denoise = unet.bind(make_cond(4, *parts) if parts else None, STEPS, copies=2)
    expected = denoise(z_t, 1)
    with unet.evaluation_point.register_forward_hook(lambda _, inputs, out: seen.append((*inputs[:2], out))):
        assert torch.equal(denoise(z_t, 1), expected)
    ((asked_z_t, evaluation, answer),) = seen
    assert asked_z_t is z_t
    assert (evaluation.index, evaluation.copies) == (1, 2)
    assert torch.equal(evaluation.timesteps, STEPS)
    assert torch.equal(answer, expected)


@torch.no_grad()
def test_outside_of_a_walk_nothing_is_announced(make_unet, draw):
    unet, seen = make_unet(), []
    with unet.evaluation_point.register_forward_hook(lambda *_: seen.append(1)):
        unet(draw(1, 3, 4, 4), torch.tensor([3]))
    assert seen == []


def test_the_hook_points_hold_no_parameters(make_unet):
    unet = make_unet(context_dim=6)
    assert not [name for name in unet.state_dict() if "evaluation_point" in name or "dot_product" in name]

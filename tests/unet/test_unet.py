"""One walk: bound and unbound, with every kind of condition, checkpointed, copied."""

import copy

import pytest
import torch

from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.errors import ShapeError
from ldm_lab.unet import UNet, UNetConfig

STEPS = torch.tensor([999, 500, 0])

KINDS = {
    "nothing": ((), {}),
    "context": (("context",), {"context_dim": 6}),
    "vector": (("vector",), {"vector_dim": 4}),
    "concat": (("concat",), {"in_channels": 5}),
    "context, vector": (("context", "vector"), {"context_dim": 6, "vector_dim": 4, "scale_shift_norm": True}),
    "context, concat": (("context", "concat"), {"context_dim": 6, "in_channels": 5, "resblock_updown": True}),
    "all": (("context", "vector", "concat"), {"context_dim": 6, "vector_dim": 4, "in_channels": 5}),
    "vector, coordinates": (("vector",), {"vector_dim": 4, "coordinates": True}),
    "context, early": (("context",), {"context_dim": 6, "attention_levels": (0, 1), "transformer_depth": 2}),
}
kinds = pytest.mark.parametrize(("parts", "changes"), KINDS.values(), ids=KINDS.keys())


@kinds
@pytest.mark.parametrize("copies", [1, 2, 3])
@torch.no_grad()
def test_bound_steps_equal_forward_on_repeated_latents(make_unet, make_cond, draw, parts, changes, copies):
    unet, z_t = make_unet(**changes), draw(2, 3, 4, 8)
    cond = make_cond(2 * copies, *parts) if parts else None
    denoise = unet.bind(cond, STEPS, copies=copies)
    for i, t in enumerate(STEPS):
        expected = unet(z_t.repeat(copies, 1, 1, 1), t.expand(2 * copies), cond)
        torch.testing.assert_close(denoise(z_t, i), expected, rtol=0.0, atol=1e-12)


@kinds
@torch.no_grad()
def test_every_part_of_the_condition_and_the_step_matter(make_unet, make_cond, draw, parts, changes):
    """Negative control for the test above, which a network that ignores its inputs would pass."""
    unet, z_t = make_unet(**changes), draw(1, 3, 4, 8)
    cond = make_cond(2, *parts) if parts else None
    denoise = unet.bind(cond, STEPS, copies=2)
    first, second = denoise(z_t, 0)
    assert (first - denoise(z_t, 1)[0]).abs().max() > 1e-4
    assert ((first - second).abs().max() > 1e-4) == bool(parts)


@torch.no_grad()
def test_each_latent_has_its_own_step_and_condition(make_unet, make_cond, draw):
    unet, z_t, t = make_unet(context_dim=6, vector_dim=4), draw(3, 3, 4, 8), torch.tensor([7, 300, 999])
    cond = make_cond(3, "context", "vector")
    together = unet(z_t, t, cond)
    for i in range(3):
        alone = unet(z_t[i : i + 1], t[i : i + 1], cond.select([i]))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0.0, atol=1e-12)


@torch.no_grad()
def test_copies_share_what_comes_before_the_condition(make_unet, make_cond, draw):
    unet, batches = make_unet(context_dim=6, channel_mult=(1, 2)), {}
    watched = {
        "conv_in": unet.conv_in,
        "before": unet.down_blocks[0].resnets[0],
        "self-attention": unet.down_blocks[1].attentions[0].transformer_blocks[0].attn1,
        "feed-forward": unet.down_blocks[1].attentions[0].transformer_blocks[0].ff,
        "after": unet.mid_block.resnets[0],
    }
    for name, module in watched.items():
        module.register_forward_hook(lambda _, inputs, out, name=name: batches.update({name: len(inputs[0])}))
    unet.bind(make_cond(4, "context"), STEPS, copies=2)(draw(2, 3, 4, 8), 0)
    assert batches == {"conv_in": 2, "before": 2, "self-attention": 2, "feed-forward": 4, "after": 4}


@torch.no_grad()
def test_a_step_computes_nothing_that_binding_has_computed(make_unet, make_cond, draw):
    unet, calls = make_unet(context_dim=6), []
    constant = [unet.time_embedding.linear_1, unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k]
    constant += [unet.mid_block.resnets[0].time_emb_proj, unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_v]
    for module in constant:
        module.register_forward_hook(lambda module, *_: calls.append(module))
    denoise = unet.bind(make_cond(2, "context"), STEPS)
    assert sorted(map(id, calls)) == sorted(map(id, constant))
    calls.clear()
    denoise(draw(2, 3, 4, 8), 1)
    assert calls == []


@torch.no_grad()
def test_steps_may_be_fractional_as_some_schedulers_have_them(make_unet, draw):
    unet, z_t, steps = make_unet(), draw(1, 3, 4, 8), torch.tensor([500.0, 500.5])
    whole, between = (unet.bind(None, steps)(z_t, i) for i in range(2))
    torch.testing.assert_close(whole, unet(z_t, torch.tensor([500])), rtol=0.0, atol=1e-12)
    torch.testing.assert_close(between, unet(z_t, steps[1:]), rtol=0.0, atol=1e-12)
    assert (whole - between).abs().max() > 1e-3


@pytest.mark.parametrize("t", [torch.tensor(5), torch.tensor([1, 2, 3]), torch.tensor([[1], [2]])], ids=str)
def test_steps_of_another_shape_are_refused(make_unet, draw, t):
    with pytest.raises(ShapeError, match=r"the steps have shape \(.*\(2,\), one step for each latent"):
        make_unet()(draw(2, 3, 4, 8), t)


def test_a_new_network_predicts_zero_and_every_block_is_its_skip(draw):
    config = UNetConfig(in_channels=3, out_channels=3, channels=8, num_heads=2, context_dim=6, norm_groups=4)
    unet = UNet(config)
    z_t, h = draw(2, 3, 8, 8).float(), draw(2, 8, 8, 8).float()
    cond = Conditioning(context=draw(2, 5, 6).float())
    assert torch.equal(unet(z_t, torch.tensor([3, 9]), cond), torch.zeros(2, 3, 8, 8))
    assert torch.equal(unet.down_blocks[0].resnets[0](h, torch.ones(2, 8, 1, 1)), h)
    wide, transformer = draw(2, 32, 4, 4).float(), unet.mid_block.attentions[0]
    assert torch.equal(transformer(wide, transformer.keys_values(cond.context)), wide)


def test_new_plain_attention_is_its_skip(draw):
    unet = UNet(UNetConfig(channels=8, num_heads=2, norm_groups=4))
    h = draw(2, 32, 4, 4).float()
    assert torch.equal(unet.mid_block.attentions[0](h), h)


def test_the_zeros_can_be_left(draw):
    """Zero weights must receive gradients: of a zero layer before another zero layer, none would ever move."""
    unet = UNet(UNetConfig(channels=8, channel_mult=(1, 2), attention_levels=(1,), num_heads=2, norm_groups=4))
    z_t, target = draw(2, 4, 4, 4).float(), draw(2, 4, 4, 4).float()
    for _ in range(3):
        unet.zero_grad()
        (unet(z_t, torch.tensor([3, 700])) - target).square().mean().backward()
        with torch.no_grad():
            for parameter in unet.parameters():
                parameter -= 0.1 * parameter.grad
    still = [name for name, parameter in unet.named_parameters() if parameter.grad.abs().max() == 0.0]
    assert still == []


@pytest.mark.parametrize("changes", [{}, {"context_dim": 6, "dropout": 0.3, "resblock_updown": True}], ids=str)
def test_gradient_checkpointing_changes_no_gradient(make_unet, make_cond, draw, changes):
    cond = make_cond(2, "context") if "context_dim" in changes else None
    z_t, gradients = draw(2, 3, 4, 8), []
    for checkpointing in (False, True):
        unet = make_unet(**changes, gradient_checkpointing=checkpointing)
        torch.manual_seed(5)  # of dropout
        unet(z_t, torch.tensor([3, 700]), cond).square().sum().backward()
        gradients.append([parameter.grad for parameter in unet.parameters()])
    assert all(torch.equal(plain, checkpointed) for plain, checkpointed in zip(*gradients, strict=True))


def test_gradient_checkpointing_computes_blocks_twice(make_unet, draw):
    """Negative control: the test above would pass if the option did nothing."""
    counts = {}
    for checkpointing in (False, True):
        unet, calls = make_unet(gradient_checkpointing=checkpointing), []
        unet.mid_block.resnets[0].conv1.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        unet(draw(1, 3, 4, 8), torch.tensor([3])).sum().backward()
        counts[checkpointing] = len(calls)
    assert counts == {False: 1, True: 2}


def test_a_deep_copy_has_a_life_of_its_own(make_unet, make_cond, draw):
    """The moving average of training is a deep copy; it must not look at the blocks of the original."""
    unet, z_t, t = make_unet(context_dim=6), draw(2, 3, 4, 8), torch.tensor([3, 700])
    cond = make_cond(2, "context")
    expected, twin = unet(z_t, t, cond), copy.deepcopy(unet)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.zero_()
    assert torch.equal(twin(z_t, t, cond), expected)
    bound = twin.bind(cond, t[:1])(z_t, 0)
    torch.testing.assert_close(bound[0], expected[0], rtol=0.0, atol=1e-12)


def test_inputs_are_left_as_they_were(make_unet, make_cond, draw):
    unet, z_t, cond = make_unet(context_dim=6, vector_dim=4, in_channels=5), draw(2, 3, 4, 8), None
    cond = make_cond(2, "context", "vector", "concat")
    before = [tensor.clone() for tensor in (z_t, *cond.parts().values())]
    with torch.no_grad():
        unet.bind(cond, STEPS)(z_t, 0)
    assert all(map(torch.equal, before, (z_t, *cond.parts().values())))


def test_gradient_of_the_latent(make_unet, make_cond, draw):
    unet = make_unet(context_dim=6, vector_dim=4)
    cond, z_t = make_cond(1, "context", "vector"), draw(1, 3, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: unet(z, torch.tensor([300]), cond), (z_t,), fast_mode=True)


@torch.no_grad()
def test_with_coordinates_far_apart_places_differ_although_they_look_alike(make_unet):
    """On an even latent two inner places see no border within this network's reach; only coordinates tell them."""
    even, t = torch.full((1, 3, 32, 32), 0.5, dtype=torch.float64), torch.tensor([500])
    sizes = {"channel_mult": (1,), "attention_levels": ()}

    def difference(**changes):
        unet = make_unet(**sizes, **changes)
        out = unet(even, t)
        return (out[..., 16, 14] - out[..., 16, 18]).abs().max().item()

    assert difference(coordinates=True) > 1e-4
    assert difference() < 1e-12

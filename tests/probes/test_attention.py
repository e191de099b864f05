"""Attention against a second computation, against itself under other conditions, and against what must be so."""

import math

import pytest
import torch

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.errors import RequestError
from ldm_lab.probes import LayerGroup, attention, heat_maps, record_cross_attention, record_self_attention
from ldm_lab.sampling import Patched
from ldm_lab.unet import UNet, UNetConfig

FP16 = {"rtol": 2**-10, "atol": 1e-6}  # fp16 keeps 11 bits; what it keeps was fp32
DOWN, MID, UP = LayerGroup("down", 1), LayerGroup("mid", 1), LayerGroup("up", 1)


@pytest.fixture
def make_unet():
    """A UNet with two blocks of two transformers a level, random weights in fp64."""

    def make(**changes) -> UNet:
        sizes = {"in_channels": 3, "out_channels": 3, "channels": 8, "channel_mult": (1, 2), "num_res_blocks": 2}
        sizes |= {"attention_levels": (0, 1), "num_heads": 2, "norm_groups": 4, "context_dim": 6}
        torch.manual_seed(0)
        unet = UNet(UNetConfig(**sizes | {"transformer_depth": 2} | changes))
        with torch.no_grad():
            for parameter in unet.parameters():
                parameter += 0.2 * torch.randn(parameter.shape)
        return unet.double()

    return make


def softmax_by_hand(queries, keys, num_heads):
    """Weights of one image from projected tokens (N, C) and (M, C), by loops over heads, places and tokens."""
    width = queries.shape[1] // num_heads
    weights = torch.zeros(len(queries), len(keys), dtype=torch.float64)
    for head in range(num_heads):
        columns = slice(head * width, (head + 1) * width)
        for place, query in enumerate(queries[:, columns]):
            scores = [math.exp(float(query @ key) / math.sqrt(width)) for key in keys[:, columns]]
            weights[place] += torch.tensor(scores, dtype=torch.float64) / sum(scores) / num_heads
    return weights


def projected(layers, run):
    """What layers put out while ``run`` runs, one list each."""
    outputs = [[] for _ in layers]
    handles = [
        layer.register_forward_hook(lambda _, __, out, kept=kept: kept.append(out))
        for layer, kept in zip(layers, outputs, strict=True)
    ]
    run()
    for handle in handles:
        handle.remove()
    return outputs


@torch.no_grad()
def test_cross_attention_is_the_mean_over_layers_of_softmax_by_hand(make_unet, draw):
    """Queries from hooks on to_q; keys from the condition itself, not from the batch that the network was given."""
    unet, z_t = make_unet(), draw(2, 3, 4, 8)
    negative, condition = draw(2, 5, 6), draw(2, 5, 6)
    both = Conditioning.cat([Conditioning(context=negative), Conditioning(context=condition)])
    denoise = unet.bind(both, torch.tensor([700]), copies=2)
    with record_cross_attention(unet) as recording:
        denoise(z_t, 0)
    blocks = [b for attention in unet.down_blocks[1].attentions for b in attention.transformer_blocks]
    assert len(blocks) == 4
    queries = projected([block.attn2.to_q for block in blocks], lambda: denoise(z_t, 0))
    for image in range(2):
        row = {2: image, 4: 2 + image}  # in a batch that guidance has not yet doubled, and in one that it has
        expected = [
            softmax_by_hand(q[row[len(q)]], block.attn2.to_k(condition[image]), num_heads=2)
            for block, (q,) in zip(blocks, queries, strict=True)
        ]
        maps = recording.mean()[DOWN][image]  # (5, 2, 4)
        torch.testing.assert_close(maps.flatten(1).T, sum(expected) / 4, rtol=0.0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("context_dim", [6, None], ids=["transformer", "plain"])
def test_self_attention_is_what_softmax_by_hand_says(make_unet, draw, context_dim):
    unet, z_t = make_unet(context_dim=context_dim, num_res_blocks=1, transformer_depth=1), draw(2, 3, 4, 8)
    cond = None if context_dim is None else Conditioning(context=draw(4, 5, 6))
    denoise = unet.bind(cond, torch.tensor([700]), copies=2)
    with record_self_attention(unet) as recording:
        denoise(z_t, 0)
    layer = unet.down_blocks[1].attentions[0]
    layer = layer if context_dim is None else layer.transformer_blocks[0].attn1
    (q,), (k,) = projected([layer.to_q, layer.to_k], lambda: denoise(z_t, 0))
    places = [(2 * row, 2 * column) for row in range(2) for column in range(4)]
    distances = torch.tensor([[math.dist(a, b) for b in places] for a in places], dtype=torch.float64)
    for image in range(2):
        row = image if len(q) == 2 else 2 + image
        weights = softmax_by_hand(q[row].flatten(1), k[row].flatten(1), num_heads=2)
        received, distance = recording.mean()[DOWN][image]
        torch.testing.assert_close(received.flatten(), weights.sum(0), rtol=0.0, atol=1e-6)
        torch.testing.assert_close(distance.flatten(), (weights * distances).sum(1), rtol=0.0, atol=1e-5)


def test_under_guidance_the_condition_is_recorded(tiny_model, walk):
    """At the first step z_t is the same with and without guidance, and so must be the attention of the condition."""

    def first(**changes):
        with record_cross_attention(tiny_model.unet) as recording:
            walk(tiny_model, **changes)
        return recording.steps[0].maps

    guided, alone, negative = first(), first(scale=1.0), first(prompts=["on white", "circle"], scale=1.0)
    for group in (DOWN, MID, UP):
        torch.testing.assert_close(guided[group], alone[group], **FP16)
        assert (guided[group] - negative[group]).abs().max() > 0.01


@pytest.mark.parametrize("size", [None, (2, 2), (3, 5), (16, 16)])
def test_over_the_tokens_it_sums_to_one(tiny_model, walk, size):
    with record_cross_attention(tiny_model.unet, size=size) as recording:
        walk(tiny_model)
    assert len(recording.steps) == 3
    for step in recording.steps:
        for maps in step.maps.values():
            assert maps.dtype == torch.float16
            assert maps.shape == (2, 8, *(size or (4, 4)))
            assert maps.min() >= 0
            total = maps.double().sum(1)
            torch.testing.assert_close(total, torch.ones_like(total), rtol=0.0, atol=8 * 2**-12)  # 8 roundings


def test_places_receive_one_on_average(tiny_model, walk):
    with record_self_attention(tiny_model.unet) as recording:
        walk(tiny_model)
    for maps in recording.mean().values():
        torch.testing.assert_close(maps[:, 0].mean((1, 2)), torch.ones(2))
        assert maps[:, 0].std() > 1e-3
        assert (maps[:, 1] > 0).all()


@torch.no_grad()
def test_attention_without_preference_is_even_and_looks_at_the_mean_distance(make_unet, draw):
    unet = make_unet(context_dim=None)
    for name, parameter in unet.named_parameters():
        if "to_q" in name:
            parameter.zero_()
    with record_self_attention(unet) as recording:
        unet.bind(None, torch.tensor([3]))(draw(1, 3, 2, 4), 0)
    received, distance = recording.mean()[LayerGroup("up", 0)][0]
    torch.testing.assert_close(received, torch.ones_like(received))
    corner = sum(math.hypot(row, column) for row in range(2) for column in range(4)) / 8
    assert distance[0, 0].item() == pytest.approx(corner)
    assert distance[0, 1] < distance[0, 0]


@pytest.mark.parametrize("record", [record_cross_attention, record_self_attention])
def test_the_mean_is_that_of_the_steps(tiny_model, walk, record):
    with record(tiny_model.unet) as each, record(tiny_model.unet, per_step=False) as alone:
        steps = walk(tiny_model)
    assert alone.steps == []
    assert [(step.index, step.t) for step in each.steps] == [(step.index, step.t) for step in steps]
    for group, mean in each.mean().items():
        assert torch.equal(mean, alone.mean()[group])
        of_steps = torch.stack([step.maps[group].float() for step in each.steps])
        torch.testing.assert_close(of_steps.mean(0), mean, **FP16)
        assert of_steps.std(0).max() > 1e-3  # negative control: steps differ


@torch.no_grad()
def test_groups_are_the_resolutions_of_the_way(make_unet, draw):
    unet = make_unet(channel_mult=(1, 2, 2), attention_levels=(0, 2))
    with record_cross_attention(unet) as recording:
        unet.bind(Conditioning(context=draw(1, 5, 6)), torch.tensor([3]))(draw(1, 3, 8, 4), 0)
    shapes = {str(group): tuple(maps.shape[2:]) for group, maps in recording.mean().items()}
    expected = {"down 1/1": (8, 4), "down 1/4": (2, 1), "mid 1/4": (2, 1), "up 1/4": (2, 1), "up 1/1": (8, 4)}
    assert shapes == expected
    assert list(shapes) == list(expected)


@pytest.mark.parametrize("record", [record_cross_attention, record_self_attention])
def test_slices_of_queries_make_no_difference(tiny_model, walk, monkeypatch, record):
    with record(tiny_model.unet) as whole:
        walk(tiny_model)
    monkeypatch.setattr(attention, "MAX_ELEMENTS", 150)
    with record(tiny_model.unet) as sliced:
        walk(tiny_model)
    for group, maps in whole.mean().items():
        torch.testing.assert_close(sliced.mean()[group], maps)


def test_no_slice_is_larger_than_the_limit(monkeypatch):
    monkeypatch.setattr(attention, "MAX_ELEMENTS", 100)
    parts = list(attention.attention_weights(torch.randn(2, 3, 9, 4), torch.randn(2, 3, 5, 4)))
    assert [part.shape[1] for _, part in parts] == [3, 3, 3]  # 2 images x 3 heads x 3 queries x 5 keys = 90


def test_patches_of_a_large_image_are_records_of_the_same_step(tiny_model, walk):
    with record_cross_attention(tiny_model.unet) as recording:
        walk(tiny_model, around=Patched(tiny_model, size=4, overlap=0))
    assert [step.index for step in recording.steps] == [0] * 4 + [1] * 4 + [2] * 4


@torch.no_grad()
def test_only_walks_are_recorded(tiny_model):
    with record_cross_attention(tiny_model.unet) as recording:
        tiny_model.predict(torch.randn(1, 3, 8, 8), torch.tensor([3]), tiny_model.condition(["a"]))
    assert recording.steps == []
    with pytest.raises(RequestError, match="no attention was recorded; let a walk of this UNet run inside"):
        recording.mean()


@torch.no_grad()
def test_a_step_that_failed_is_not_recorded(tiny_model, walk):
    fail = tiny_model.unet.up_blocks[0].register_forward_pre_hook(lambda *_: 1 / 0)
    with record_cross_attention(tiny_model.unet) as recording:
        with fail, pytest.raises(ZeroDivisionError):
            walk(tiny_model)
        assert recording.steps == []
        tiny_model.predict(torch.randn(1, 3, 16, 16), torch.tensor([3]), tiny_model.condition(["a"]))
        walk(tiny_model)
    assert [step.index for step in recording.steps] == [0, 1, 2]
    torch.testing.assert_close(recording.mean()[MID].sum(1), torch.ones(2, 4, 4))


def test_blocks_that_are_computed_twice_are_recorded_once(make_unet, draw):
    def recorded(**changes):
        unet = make_unet(num_res_blocks=1, transformer_depth=1, attention_levels=(1,), **changes)
        generator = torch.Generator().manual_seed(3)
        cond = Conditioning(context=torch.randn(1, 5, 6, generator=generator).double())
        z_t = torch.randn(1, 3, 4, 4, generator=generator).double().requires_grad_()
        with record_cross_attention(unet) as recording:
            unet.bind(cond, torch.tensor([3]))(z_t, 0).sum().backward()
        return recording

    once, twice = recorded(), recorded(gradient_checkpointing=True)
    assert len(twice.steps) == 1
    for group, maps in once.mean().items():
        torch.testing.assert_close(twice.mean()[group], maps)


def test_what_the_steps_may_take_is_checked_at_the_first(tiny_model, begin):
    needed = 3 * 3 * 2 * 8 * 4 * 4 * 2  # steps, groups, images, tokens, places, bytes
    with record_cross_attention(tiny_model.unet, max_bytes=needed) as recording:
        list(begin(tiny_model))
    assert 2 * sum(maps.numel() for step in recording.steps for maps in step.maps.values()) == needed
    with record_cross_attention(tiny_model.unet, max_bytes=needed - 1) as recording:
        steps = begin(tiny_model)
        with pytest.raises(RequestError, match="takes 4,608 bytes, but max_bytes is 4,607; give a smaller size"):
            next(steps)
    with record_cross_attention(tiny_model.unet, max_bytes=needed + 1) as recording:
        list(begin(tiny_model))
        steps = begin(tiny_model)  # another walk: what is kept already counts
        with pytest.raises(RequestError, match="takes 9,216 bytes"):
            next(steps)
    with record_cross_attention(tiny_model.unet, max_bytes=0, per_step=False) as recording:
        list(begin(tiny_model))
    assert recording.mean()


def test_a_recording_is_for_one_walk(tiny_model, walk):
    denoise = tiny_model.bind(tiny_model.condition(["a"]), torch.tensor([3]))
    with record_self_attention(tiny_model.unet):
        walk(tiny_model)
        with pytest.raises(
            RequestError, match=r"of shape \(2, 2, 4, 4\), and now came \(1, 2, 4, 4\); open a recording"
        ):
            denoise(torch.randn(1, 3, 8, 8), 0)


def test_without_a_context_there_is_no_cross_attention(make_unet):
    message = "has no cross-attention: its context_dim is None; record its self"
    with pytest.raises(RequestError, match=message), record_cross_attention(make_unet(context_dim=None)):
        pass


def test_heat_maps_are_the_mean_over_groups_at_one_size():
    small, large = torch.full((1, 2, 2, 2), 0.25), torch.rand(1, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    maps = {MID: small, UP: large.half()}
    torch.testing.assert_close(heat_maps(maps), (0.25 + large.half().float()) / 2)
    assert heat_maps(maps).dtype == torch.float32
    assert heat_maps(maps, size=(8, 8)).shape == (1, 2, 8, 8)
    torch.testing.assert_close(heat_maps({UP: large}, size=(1, 1))[..., 0, 0], large.mean((2, 3)), rtol=0.0, atol=0.06)
    with pytest.raises(RequestError, match="there are no attention maps; give those of at least one layer group"):
        heat_maps({})

"""What holds for every probe: it changes no number, and leaves no trace, however the block ends."""

from contextlib import ExitStack

import pytest
import torch

from ldm_lab.probes import (
    record_activation_statistics,
    record_activations,
    record_cross_attention,
    record_guidance,
    record_self_attention,
)
from ldm_lab.probes.hooks import hooked
from ldm_lab.sampling import Guidance, ImageGuidance, make_scheduler, sample_steps

LAYERS = ["mid_block", "down_blocks.1.attentions.0"]
PROBES = {
    "cross": lambda model: record_cross_attention(model.unet),
    "cross, one size, mean alone": lambda model: record_cross_attention(model.unet, size=(5, 3), per_step=False),
    "self": lambda model: record_self_attention(model.unet),
    "activations": lambda model: record_activations(model.unet, LAYERS),
    "statistics": lambda model: record_activation_statistics(model.unet, LAYERS),
    "guidance": record_guidance,
}
probes = pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES.keys())


def equal(one, other) -> bool:
    names = ("z_t", "z_0_pred", "noise_pred", "z_next")
    return len(one) == len(other) and all(
        torch.equal(getattr(a, name), getattr(b, name)) for a, b in zip(one, other, strict=True) for name in names
    )


@probes
def test_recording_changes_no_bit_of_a_guided_walk(tiny_model, walk, probe):
    expected = walk(tiny_model)
    with probe(tiny_model):
        assert equal(walk(tiny_model), expected)
    assert equal(walk(tiny_model), expected)
    assert not equal(walk(tiny_model, scale=3.001), expected)  # negative control


def test_all_probes_at_once_change_nothing_and_record_as_they_do_alone(tiny_model, walk):
    expected = walk(tiny_model)
    with record_cross_attention(tiny_model.unet) as alone:
        walk(tiny_model)
    with ExitStack() as stack:
        recordings = {name: stack.enter_context(probe(tiny_model)) for name, probe in PROBES.items()}
        assert equal(walk(tiny_model), expected)
    assert all(recordings.values())
    for group, maps in recordings["cross"].mean().items():
        assert torch.equal(maps, alone.mean()[group])


@probes
def test_recording_changes_nothing_where_the_unet_is_differentiated(tiny_model, probe):
    target = torch.linspace(-1, 1, 2 * 3 * 256).reshape(2, 3, 16, 16)
    cond, negative = (tiny_model.condition([prompt] * 2) for prompt in ("a red circle", ""))
    base = Guidance(scale=3.0, negative=negative)
    guidance = ImageGuidance(target=target, decode=tiny_model.decode, scale=0.1, base=base)
    scheduler = make_scheduler("ddim", tiny_model.config.schedule, tiny_model.prediction)

    def walk(guidance):
        sizes = {"num_steps": 2, "seeds": [1, 2], "shape": (3, 8, 8)}
        return list(sample_steps(tiny_model, cond, scheduler, guidance=guidance, **sizes))

    expected = walk(guidance)
    with probe(tiny_model):
        assert equal(walk(guidance), expected)
    assert not equal(walk(base), expected)  # negative control: guiding does something


@probes
def test_nothing_is_left_behind(tiny_model, walk, num_hooks, probe):
    before = set(vars(tiny_model.unet))
    with probe(tiny_model):
        assert num_hooks(tiny_model) > 0
        walk(tiny_model)
    assert num_hooks(tiny_model) == 0
    assert set(vars(tiny_model.unet)) == before


@probes
def test_nothing_is_left_behind_by_an_error(tiny_model, begin, num_hooks, probe):
    def fail_in_the_middle():
        with probe(tiny_model):
            next(begin(tiny_model))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    assert num_hooks(tiny_model) == 0


@probes
def test_nothing_is_left_behind_by_a_generator_that_is_closed(tiny_model, begin, num_hooks, probe):
    def recorded():
        with probe(tiny_model):
            yield from begin(tiny_model)

    steps = recorded()
    next(steps)
    assert num_hooks(tiny_model) > 0
    steps.close()
    assert num_hooks(tiny_model) == 0


def test_hooks_go_if_one_of_them_cannot_be_registered(num_hooks):
    layer = torch.nn.Linear(1, 1)

    def register():
        yield layer.register_forward_hook(print)
        raise RuntimeError

    with pytest.raises(RuntimeError), hooked(register()):
        pass
    assert num_hooks(layer) == 0

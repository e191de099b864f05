import pytest
import torch

from ldm_lab.sampling import Step
from ldm_lab.tasks import TrajectoryRecorder
from ldm_lab.tasks.trajectory import NonFiniteLatentError

NAMES = ("z_t", "z_0_pred", "noise_pred", "z_next", "output")


def walk(count):
    """Steps whose numbers tell which they are."""
    z_t = torch.full((1, 1, 8, 8), -1.0)
    for index in range(count):
        z_next = torch.full_like(z_t, index)
        eps = z_next + 0.2
        yield Step(index, 900 - index, z_t, z_next + 0.1, eps, z_next, eps)
        z_t = z_next


def record(count, max_bytes):
    recorder = TrajectoryRecorder(max_bytes=max_bytes)
    for step in walk(count):
        recorder.add(step)
    return recorder


def kept_bytes(steps):
    tensors = {id(getattr(step, name)): getattr(step, name) for step in steps for name in NAMES}
    return sum(tensor.nbytes for tensor in tensors.values())


def test_what_fits_is_kept_as_it_was_computed_and_what_is_shared_once():
    recorder = record(10, max_bytes=31 * 256)
    assert kept_bytes(recorder.steps) == 31 * 256
    assert recorder.notes == ()
    for step, expected in zip(recorder.steps, walk(10), strict=True):
        assert (step.index, step.t) == (expected.index, expected.t)
        for name in NAMES:
            assert torch.equal(getattr(step, name), getattr(expected, name))


def test_one_byte_less_and_it_is_rounded():
    recorder = record(10, max_bytes=31 * 256 - 1)
    assert recorder.notes == (
        "the trajectory of 10 steps takes 7.9 kB, more than the 7.9 kB of its budget; it is kept in 16 bits",
    )
    assert [step.index for step in recorder.steps] == list(range(10))
    assert recorder.steps[3].z_next.dtype == torch.half
    assert recorder.steps[3].z_next is recorder.steps[4].z_t
    assert kept_bytes(recorder.steps) == 31 * 128
    assert recorder.last.z_next.dtype == torch.float32


@pytest.mark.parametrize(("max_bytes", "stride"), [(40 * 128, 4), (20 * 128, 8), (1, 32)])
def test_then_only_some_steps_are_kept_and_the_first_and_the_last(max_bytes, stride):
    recorder = record(30, max_bytes=max_bytes)
    assert recorder.stride == stride
    assert [step.index for step in recorder.steps] == [*range(0, 29, stride), 29]
    assert f"one step of {stride}" in recorder.notes[0]
    assert kept_bytes(recorder.steps[1:-1]) <= max_bytes


def test_the_copies_are_its_own_and_may_be_changed():
    recorder = TrajectoryRecorder()
    with torch.inference_mode():
        step = next(walk(1))
    kept = recorder.add(step)
    assert step.z_t.is_inference()
    assert not kept.z_t.is_inference()
    kept.z_t.add_(1.0)
    kept.z_0_pred.requires_grad_().sum().backward()
    assert step.z_t[0, 0, 0, 0] == -1.0


@pytest.mark.parametrize("name", ["z_0_pred", "z_next"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_step_into_nothing_is_named(name, value):
    recorder = TrajectoryRecorder()
    first, second = (step.map(lambda z: z.repeat(3, 1, 1, 1)) for step in walk(2))
    recorder.add(first)
    getattr(second, name)[1:, 0, 0, 0] = value
    with pytest.raises(NonFiniteLatentError, match=r"step 1 \(t = 899\) led to NaN or infinity in .* 2 of 3 images"):
        recorder.add(second)


def test_nothing_is_kept_of_no_walk():
    assert TrajectoryRecorder().steps == ()

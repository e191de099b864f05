"""Seeds: the same number on every machine, and noise that knows nothing of its batch."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldm_lab.core.seeding import derive_seed, generator, sample_noise

parts = st.lists(st.integers() | st.text("ab:,1", max_size=3), max_size=3)


def test_seeds_never_change():
    """A recorded run must be recreated by every later version: these numbers are a promise."""
    assert derive_seed(7) == 3098598607917743281
    assert derive_seed("noise", 7, "start") == 8154563970513445018


@given(parts, parts)
def test_different_parts_give_different_seeds(first, second):
    assert (derive_seed(*first) == derive_seed(*second)) == (first == second)


@given(parts)
def test_seeds_fit_every_generator(words):
    assert 0 <= derive_seed(*words) < 2**63


@pytest.mark.parametrize("seven", [7, np.int64(7), torch.tensor(7)])
def test_integers_of_every_kind_count_as_their_value(seven):
    assert derive_seed("noise", seven) == derive_seed("noise", 7) != derive_seed("noise", "7")


def test_a_float_is_no_seed():
    with pytest.raises(TypeError, match="float"):
        derive_seed(7.0)


def test_generators_start_afresh():
    first, second = (torch.rand(3, generator=generator("data", 1)) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first, torch.rand(3, generator=generator("data", 2)))


@pytest.mark.parametrize("shape", [(1, 3, 3), (4, 8, 8)])  # 9 values are drawn on another path than 256
@pytest.mark.parametrize("position", [0, 3])
def test_noise_of_a_seed_is_independent_of_the_batch(shape, position):
    seeds = [3, 1, 4, 1]
    batch = sample_noise(shape, seeds)
    alone = sample_noise(shape, [seeds[position]])
    assert torch.equal(batch[position], alone[0])
    assert torch.equal(batch[1], batch[3])
    assert not torch.equal(batch[0], batch[1])


def test_a_joint_draw_would_fail_this_test():
    """Negative control: drawing the batch at once is not the same as drawing each sample."""
    together = torch.randn(2, 1, 3, 3, generator=generator("noise", 3, "start"))
    assert not torch.equal(together[1], sample_noise((1, 3, 3), [3, 1])[1])


def test_streams_of_one_seed_differ():
    draws = [sample_noise((4, 8, 8), [7], stream=stream) for stream in ("start", 0, 1)]
    assert all(not torch.equal(a, b) for a, b in pairwise(draws))
    assert draws[0].dtype == torch.float32


def test_noise_is_standard_normal():
    noise = sample_noise((4, 32, 32), range(16))
    assert abs(noise.mean().item()) < 4.5 / noise.numel() ** 0.5
    assert abs(noise.var().item() - 1) < 4.5 * (2 / noise.numel()) ** 0.5


def test_drawing_leaves_the_global_stream_alone():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    sample_noise((4, 8, 8), [1, 2])
    torch.testing.assert_close(torch.rand(2), expected, rtol=0, atol=0)

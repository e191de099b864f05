import pytest
import torch

from ldm_lab.conditioning import drop_conditions
from ldm_lab.core.errors import ConfigError
from ldm_lab.core.seeding import generator


def test_probability_zero_keeps_and_one_drops_everything():
    y = ["red", "blue", ""]
    assert drop_conditions(y, "", 0.0, generator(0)) == y
    assert drop_conditions(y, "", 1.0, generator(0)) == ["", "", ""]
    assert drop_conditions([0, 1], None, 1.0, generator(0)) == [None, None]


def test_share_dropped_is_the_probability():
    count, probability = 20_000, 0.1
    dropped = drop_conditions(["red"] * count, "", probability, generator(3)).count("")
    standard_error = (probability * (1 - probability) / count) ** 0.5
    assert abs(dropped / count - probability) < 4.5 * standard_error


def test_drops_are_a_function_of_the_generator():
    y = list(range(64))
    first = drop_conditions(y, None, 0.5, generator(7, "drop", 1))
    assert first == drop_conditions(y, None, 0.5, generator(7, "drop", 1))
    assert first != drop_conditions(y, None, 0.5, generator(7, "drop", 2))
    assert y == list(range(64))


def test_draws_do_not_touch_the_global_stream():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    drop_conditions(["red"] * 8, "", 0.5, generator(0))
    assert torch.rand(1) == expected


@pytest.mark.parametrize("probability", [-0.1, 1.5, float("nan")])
def test_impossible_probability_is_refused(probability):
    with pytest.raises(ConfigError, match=f"is {probability}; it must be from 0 to 1"):
        drop_conditions(["red"], "", probability, generator(0))

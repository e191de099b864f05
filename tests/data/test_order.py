import pytest

from ldm_lab.data.order import epoch_of, stream_indices


@pytest.mark.parametrize("length", [1, 2, 7, 100])
def test_every_epoch_shows_each_example_once_in_an_order_of_its_own(length):
    epochs = [tuple(stream_indices(k * length, length, length=length, seed=3)) for k in range(5)]
    assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
    if length > 5:
        assert len(set(epochs)) == 5


@pytest.mark.parametrize("size", [1, 3, 7, 16])
def test_any_slice_can_be_asked_for_at_any_time(size):
    whole = stream_indices(0, 48, length=7, seed=0)
    slices = [stream_indices(start, size, length=7, seed=0) for start in range(0, 48 - size, size)]
    assert slices[::-1] == [whole[start : start + size] for start in range(0, 48 - size, size)][::-1]


def test_the_seed_decides_the_order():
    orders = {tuple(stream_indices(0, 50, length=50, seed=seed)) for seed in range(5)}
    assert len(orders) == 5


def test_an_endless_data_set_is_read_in_its_own_order():
    assert stream_indices(40, 3, length=None, seed=9) == [40, 41, 42]


def test_epochs_are_counted_from_zero():
    assert [epoch_of(position, length=3) for position in range(7)] == [0, 0, 0, 1, 1, 1, 2]
    assert epoch_of(10**9, length=None) == 0

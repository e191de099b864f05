"""Encoded once, exactly, in parts that are whole or absent."""

import math

import numpy as np
import pytest
import torch

from ldm_lab.core.errors import CheckpointError, DataError
from ldm_lab.data.latent_store import build_latent_store, open_latent_store

IDENTITY = {"first_stage": "aa", "data": {"seed": 0}}


def moments(indices):
    """Mean and log-variance that say which example they belong to. (B, 2, 3, 3)"""
    index = torch.tensor(list(indices), dtype=torch.float32)[:, None, None, None]
    channel = torch.arange(18.0).view(1, 2, 3, 3)
    return index + channel / 32, -index / 8 - channel / 16


class Encoder:
    """Counts what it is asked."""

    def __init__(self):
        self.seen = []

    def __call__(self, indices):
        self.seen += list(indices)
        return moments(indices)


def build(folder, encode=moments, *, length=10, identity=IDENTITY, part_size=4):
    return list(build_latent_store(folder, encode, length=length, identity=identity, part_size=part_size, batch_size=3))


def test_every_example_comes_back_as_it_was_encoded(tmp_path):
    assert build(tmp_path) == [4, 8, 10]
    store = open_latent_store(tmp_path)
    assert len(store) == 10
    for indices in ([0], [9, 0, 4], list(range(10)), [3, 3]):
        torch.testing.assert_close(store.moments(indices), moments(indices), rtol=1e-3, atol=1e-3)  # 16 bits
        assert store.moments(indices)[0].dtype == torch.float32


def test_every_visit_draws_from_the_whole_distribution(tmp_path):
    """Mean and variance over many draws, within four standard errors."""
    from ldm_lab.autoencoders.bottlenecks import GaussianPosterior

    build(tmp_path)
    mean, logvar = open_latent_store(tmp_path).moments([5] * 4000)
    z = GaussianPosterior(mean, logvar).sample(torch.Generator().manual_seed(0))
    std = torch.exp(0.5 * logvar[0])
    assert ((z.mean(0) - mean[0]).abs() / (std / math.sqrt(4000))).max() < 4
    assert ((z.std(0) / std - 1).abs() * math.sqrt(8000)).max() < 4


def test_a_build_that_was_killed_goes_on_where_it_was(tmp_path):
    encoder = Encoder()
    steps = build_latent_store(tmp_path, encoder, length=10, identity=IDENTITY, part_size=4)
    next(steps)
    steps.close()
    (tmp_path / ".tmp-dead").mkdir()
    assert build(tmp_path, encoder) == [4, 8, 10]
    assert encoder.seen == list(range(10))
    assert not list(tmp_path.glob(".tmp-*"))
    assert build(tmp_path, encoder) == [4, 8, 10]
    assert encoder.seen == list(range(10))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"identity": IDENTITY | {"first_stage": "bb"}}, "first_stage"),
        ({"identity": IDENTITY | {"data": {"seed": 1}}}, "data"),
        ({"length": 11}, "length"),
    ],
)
def test_latents_of_something_else_are_refused(tmp_path, changes, name):
    build(tmp_path)
    with pytest.raises(DataError, match=f"was built for another {name}; remove it or choose another folder"):
        build(tmp_path, **changes)
    assert len(open_latent_store(tmp_path)) == 10


def test_an_unfinished_store_does_not_open(tmp_path):
    next(build_latent_store(tmp_path, moments, length=10, identity=IDENTITY, part_size=4))
    with pytest.raises(DataError, match="lacks 2 of 3 parts"):
        open_latent_store(tmp_path)
    with pytest.raises(DataError, match="is no latent store"):
        open_latent_store(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", ["truncate", "remove", "empty"])
def test_a_damaged_part_is_named(tmp_path, damage):
    build(tmp_path)
    path = tmp_path / "part-000000004" / "mean.npy"
    data = path.read_bytes()
    path.unlink()
    if damage != "remove":
        path.write_bytes(data[: len(data) // 2] if damage == "truncate" else b"")
    with pytest.raises(DataError, match="part-000000004 is damaged .* remove it and start again"):
        open_latent_store(tmp_path)


@pytest.mark.parametrize(("value", "which"), [(math.nan, 0), (math.inf, 1), (1e6, 0)])
def test_a_latent_that_16_bits_cannot_hold_is_refused(tmp_path, value, which):
    def encode(indices):
        result = moments(indices)
        for row, index in enumerate(indices):
            if index == 6:
                result[which][row, 0, 1, 1] = value
        return result

    with pytest.raises(DataError, match=f"the {('mean', 'logvar')[which]} of example 6 is not finite in 16 bits"):
        build(tmp_path, encode)
    assert [path.name for path in tmp_path.glob("part-*")] == ["part-000000000"]


def test_a_second_builder_is_refused_or_waits(tmp_path):
    first = build_latent_store(tmp_path, moments, length=10, identity=IDENTITY, part_size=4)
    next(first)
    with pytest.raises(DataError, match="is being built by another process"):
        build(tmp_path)
    list(first)
    patient = build_latent_store(tmp_path, moments, length=10, identity=IDENTITY, part_size=4, patience_sec=-1)
    assert list(patient) == [4, 8, 10]


def test_a_full_disk_leaves_whole_parts(tmp_path, monkeypatch):
    steps = build_latent_store(tmp_path, moments, length=10, identity=IDENTITY, part_size=4)
    next(steps)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(CheckpointError, match="disk full"):
            next(steps)
    assert build(tmp_path) == [4, 8, 10]
    assert len(open_latent_store(tmp_path)) == 10

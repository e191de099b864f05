"""Checkpoints of a run: whole or absent, never mistaken for one another."""

import errno
import os

import pytest
import torch
from torch import nn

from ldm_lab.core.errors import CheckpointError, TrainingError
from ldm_lab.core.io import remove_leftovers
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.ema import ExponentialAverage
from ldm_lab.training.optimiser import build_optimiser
from ldm_lab.training.state import TrainingState, list_checkpoints, newest_intact, set_aside


def make_state(seed=0, *, num_steps=3, optimiser="adamw"):
    """Convolutions in channels-last layout, as training has it, after a few steps."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.Conv2d(32, 32, 3))
    module.to(memory_format=torch.channels_last)
    optimiser = build_optimiser(module, TrainingConfig(learning_rate=1e-2, optimiser=optimiser))
    state = TrainingState(module, ExponentialAverage(module, decay=0.9), optimiser, None)
    for step in range(num_steps):
        do_step(state, step)
    return state


def do_step(state, step):
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))
    state.module(x).square().mean().backward()
    state.optimiser.step()
    state.optimiser.zero_grad()
    state.average.update()


def save(state, folder, step, *, keep=2):
    state.save(folder, step=step, about={"log_size": 0}, keep=keep)


def numbers(state):
    moments = [values[key] for values in state.optimiser.state_dict()["state"].values() for key in sorted(values)]
    return [*state.module.state_dict().values(), *state.average.average.values(), *moments]


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_loading_restores_everything_and_the_next_steps_are_the_same(tmp_path, optimiser):
    """Moments have to come back in the parameters' channels-last layout: the fused kernel reads them as raw memory."""
    state, other = make_state(optimiser=optimiser), make_state(seed=1, num_steps=1, optimiser=optimiser)
    save(state, tmp_path, 3)
    other.load(tmp_path / "step-00000003")
    assert other.average.num_updates == 3
    for step in (3, 4):
        torch.testing.assert_close(numbers(other), numbers(state), rtol=0, atol=0)
        do_step(state, step)
        do_step(other, step)
    torch.testing.assert_close(numbers(other), numbers(state), rtol=0, atol=0)


def test_only_the_newest_are_kept(tmp_path):
    state = make_state()
    for step in (3, 4, 5, 10):
        save(state, tmp_path, step, keep=3)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000010", "step-00000005", "step-00000004"]


@pytest.mark.parametrize("file", ["model.safetensors", "average.safetensors", "optimiser.safetensors", "state.json"])
def test_one_flipped_bit_is_noticed_and_the_one_before_is_taken(tmp_path, file):
    state = make_state()
    for step in (3, 4):
        save(state, tmp_path, step)
    path = tmp_path / "step-00000004" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    newest, damaged = newest_intact(tmp_path)
    assert newest == tmp_path / "step-00000003"
    ((where, reason),) = damaged.items()
    assert (where, file in reason) == (path.parent, True)
    save(state, tmp_path, 4)  # comes by again, and replaces it
    assert newest_intact(tmp_path) == (tmp_path / "step-00000004", {})


def test_a_checkpoint_removed_by_half_is_no_checkpoint(tmp_path):
    state = make_state()
    save(state, tmp_path, 3)
    (tmp_path / "step-00000003" / "manifest.json").unlink()
    newest, damaged = newest_intact(tmp_path)
    assert newest is None
    assert list(damaged) == [tmp_path / "step-00000003"]


def test_what_is_put_aside_does_not_count(tmp_path):
    state = make_state()
    for _ in range(2):
        save(state, tmp_path, 3)
        set_aside(tmp_path / "step-00000003")
    assert list_checkpoints(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["damaged-step-00000003"]


@pytest.mark.parametrize("where", ["model", "average", "optimiser"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_never_written(tmp_path, where, value):
    state = make_state()
    tensors = {
        "model": state.module[0].weight.detach(),
        "average": state.average.average["0.weight"],
        "optimiser": state.optimiser.state[state.module[0].bias]["exp_avg"],
    }
    tensors[where][(0,) * tensors[where].ndim] = value
    with pytest.raises(TrainingError, match=rf"step 7: \S*(weight|exp_avg) of the {where} holds NaN or infinity"):
        save(state, tmp_path, 7)
    assert list(tmp_path.iterdir()) == []


FAILURES = [
    *((name, errno.ENOSPC) for name in ("open", "fsync", "rename", "replace", "mkdir")),
    *(("fsync", code) for code in (errno.EIO, errno.EACCES, errno.EROFS)),
    ("open", errno.EMFILE),
]


@pytest.mark.parametrize(("name", "code"), FAILURES, ids=[f"{name}-{errno.errorcode[code]}" for name, code in FAILURES])
def test_a_failing_disk_is_one_sentence_and_the_one_before_stays(tmp_path, monkeypatch, name, code):
    """Each of the save's calls fails once."""
    state = make_state()
    save(state, tmp_path, 3)
    genuine, sentences = getattr(os, name), []
    for number in range(1, 40):
        calls = iter(range(1, 1000))

        def failing(*args, number=number, calls=calls, **kwargs):
            if next(calls) == number:
                raise OSError(code, os.strerror(code))
            return genuine(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing)
            try:
                save(state, tmp_path, 4)
            except CheckpointError as error:
                sentences.append(str(error))
            if next(calls) <= number:  # no call was left to fail
                break
        newest, damaged = newest_intact(tmp_path)
        assert (newest.name, damaged) in [("step-00000003", {}), ("step-00000004", {})]
        remove_leftovers(tmp_path)  # as the next start does
        assert {path.name for path in tmp_path.iterdir()} <= {"step-00000003", "step-00000004"}
    assert sentences
    assert all(str(tmp_path) in sentence for sentence in sentences)

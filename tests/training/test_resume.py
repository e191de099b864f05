"""Stopped anywhere and by any means, a run ends bit for bit as if it had not been: tensors, moments, log and model."""

import os
import signal
import time
from contextlib import contextmanager

import pytest

from ldm_lab.checkpoints import read_checkpoint

TRIALS = int(os.environ.get("LDM_LAB_TRIALS", "3"))  # of each kind of kill; 50 make a thorough test
FILE_CALLS = ("open", "fsync", "rename", "replace", "unlink", "rmdir", "mkdir")


@contextmanager
def dying_at(number: int):
    """SIGKILL this process at its ``number``-th call to the file system; yields the calls so far."""
    calls: list[str] = []
    genuine = {name: getattr(os, name) for name in FILE_CALLS}

    def watched(name):
        def call(*args, **kwargs):
            calls.append(name)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return genuine[name](*args, **kwargs)

        return call

    for name in FILE_CALLS:
        setattr(os, name, watched(name))
    try:
        yield calls
    finally:
        for name, function in genuine.items():
            setattr(os, name, function)


@pytest.fixture(scope="module")
def finished_runs():
    """What runs leave that nothing stopped, by recipe."""
    return {}


@pytest.fixture
def expected(finished_runs, tmp_path_factory):
    def run(runner):
        key = repr(runner.recipe)
        if key not in finished_runs:
            finished_runs[key] = runner.finish(tmp_path_factory.mktemp("whole") / "run")  # as deep as the others
        return finished_runs[key]

    return run


@pytest.mark.parametrize(
    ("num_steps", "accumulation", "precision"), [(12, 1, "fp32"), (6, 2, "bf16")], ids=["plain", "accumulated-bf16"]
)
def test_stopping_after_every_step_changes_nothing(runner, expected, tmp_path, num_steps, accumulation, precision):
    runner = runner.with_training(num_steps=num_steps, accumulation=accumulation, precision=precision)
    for _ in range(num_steps - 1):
        runner.stop_after(1, tmp_path / "run")
    found = runner.finish(tmp_path / "run")
    assert found.keys() == expected(runner).keys()
    assert [name for name, content in expected(runner).items() if found[name] != content] == []


def test_another_seed_does_change_something(runner, expected, tmp_path):
    """Negative control: what is compared above depends on what happened during the run."""
    first, second = expected(runner), runner.with_training(seed=1).finish(tmp_path / "run")
    changed = {name.split("/")[-1] for name in first if first[name] != second[name]}
    assert changed >= {"model.safetensors", "average.safetensors", "optimiser.safetensors", "log.jsonl"}


def test_a_forgotten_moment_changes_something(runner, expected, tmp_path, monkeypatch):
    """Negative control: a resume without the optimiser's moments is found out."""
    runner.stop_after(11, tmp_path / "run")
    monkeypatch.setattr("ldm_lab.training.state._restore_moments", lambda optimiser, moments: None)
    name = "checkpoints/step-00000012/model.safetensors"
    assert runner.finish(tmp_path / "run")[name] != expected(runner)[name]


@pytest.fixture(scope="module")
def counted_calls():
    """File calls of the step that is to die; counted once for each stage."""
    return {}


def die_in_step(runner, folder, *, step, number):
    """Do ``step`` steps; the last of them takes the process down at its ``number``-th file call."""
    steps = runner.steps(folder)
    for _ in range(step - 1):
        next(steps)
    with dying_at(number) as calls:
        next(steps)
    return len(calls)


@pytest.mark.parametrize("trial", range(TRIALS))
@pytest.mark.parametrize("step", [5, 6], ids=["saves", "exports"])
def test_kill_inside_the_save_window(runner, expected, counted_calls, in_child, tmp_path, step, trial):
    kind = type(runner.recipe), step
    if kind not in counted_calls:
        counted_calls[kind] = die_in_step(runner, tmp_path / "counted", step=step, number=-1)
    count = counted_calls[kind]
    assert count > 15
    folder = tmp_path / "killed"
    number = 1 + trial * (count - 1) // max(1, TRIALS - 1)  # the first call, the last, and some between
    assert in_child(lambda: die_in_step(runner, folder, step=step, number=number)) == -signal.SIGKILL
    if (folder / "model").exists():
        read_checkpoint(folder / "model")
    assert runner.finish(folder) == expected(runner)
    assert not list(folder.rglob(".tmp-*"))


@pytest.mark.parametrize("trial", range(1, TRIALS, 2))
def test_kill_at_any_time(runner, expected, tmp_path, trial):
    """Also before the first checkpoint, and while the model is written."""
    started = time.monotonic()
    runner.finish(tmp_path / "timed")
    duration = time.monotonic() - started
    child = os.fork()
    if child == 0:
        runner.finish(tmp_path / "killed")
        os._exit(0)
    time.sleep(trial / TRIALS * duration)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert runner.finish(tmp_path / "killed") == expected(runner)


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_inside_a_step_is_heard_after_it(runner, tmp_path, monkeypatch, signals):
    """One Ctrl-C saves the step that was under way; a second one leaves at once, and the last checkpoint stands."""
    stage = runner.stage(tmp_path / "stopped")
    genuine = stage.step_arguments

    def interrupted(step):
        for _ in range(signals if step == 6 else 0):
            signal.raise_signal(signal.SIGINT)
        return genuine(step)

    stage.step_arguments = interrupted
    monkeypatch.setattr(runner, "stage", lambda folder: stage)
    steps = runner.steps(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        for _ in steps:
            pass
    monkeypatch.undo()
    newest = max((tmp_path / "stopped" / "checkpoints").glob("step-*")).name
    assert newest == ("step-00000007" if signals == 1 else "step-00000005")

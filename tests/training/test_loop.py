"""What one step does, what it refuses, and what a run leaves behind."""

import ctypes
import json
import os
import random
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.objective import AutoencoderObjectiveConfig
from ldm_lab.checkpoints import load_autoencoder, load_model, read_checkpoint, read_tensors
from ldm_lab.core.errors import CheckpointError, ConfigError, DataError, TrainingError
from ldm_lab.core.seeding import generator
from ldm_lab.data.source import DataConfig
from ldm_lab.training import loop
from ldm_lab.training.autoencoder_stage import AutoencoderStage
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.loop import train
from ldm_lab.training.optimiser import learning_rate_at

from .conftest import Runner

NAN, INF = float("nan"), float("inf")


def newest(folder):
    return max((folder / "checkpoints").glob("step-*")).name


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_steps_are_records_and_the_log_holds_them(runner, tmp_path):
    records = list(runner.steps(tmp_path))
    training = runner.recipe.training
    assert [record.index for record in records] == list(range(12))
    assert [record.lr for record in records] == [learning_rate_at(i, 1e-3, training) for i in range(12)]
    assert [bool(record.figures) for record in records] == [index in (5, 11) for index in range(12)]
    assert all(record.grad_norm > 0 for record in records)
    assert [line["step"] for line in log_of(tmp_path)] == [2, 4, 6, 8, 10, 12]
    assert log_of(tmp_path)[2]["loss"] == pytest.approx(records[5].loss, rel=1e-6)
    assert log_of(tmp_path)[2]["latent_std"] == pytest.approx(records[5].figures["latent_std"], rel=1e-6)
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["step-00000006.png", "step-00000012.png"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000010", "step-00000012"]


def same(first, second):
    """Whether two batches hold the same numbers; generators are compared by their state."""

    def plain(value):
        return value.get_state() if isinstance(value, torch.Generator) else value

    torch.testing.assert_close(
        {name: plain(value) for name, value in first.items()},
        {name: plain(value) for name, value in second.items()},
        rtol=0,
        atol=0,
    )


def test_a_batch_is_a_function_of_its_number(runner, tmp_path):
    first, second = runner.stage(tmp_path / "first"), runner.stage(tmp_path / "second")
    batches = [first.batch(draw, 4) for draw in range(4)]
    for draw in (3, 0, 2):
        same(second.batch(draw, 4), batches[draw])
    with pytest.raises(AssertionError):
        same(batches[0], batches[1])


def test_the_end_is_a_model_of_the_averaged_weights(autoencoder_recipe, tmp_path):
    Runner(autoencoder_recipe).finish(tmp_path)
    model = load_autoencoder(tmp_path / "model")
    average = read_tensors(tmp_path / "checkpoints" / "step-00000012" / "average.safetensors")
    for name, tensor in model.named_parameters():
        torch.testing.assert_close(tensor.detach(), average[name].half().float(), rtol=0, atol=0)
    recipe = read_checkpoint(tmp_path / "model").content["recipe"]
    assert recipe["objective"]["perceptual"] == "random-features"
    assert recipe["provenance"]["steps"] == 12
    assert "torch" in recipe["provenance"]["versions"]


def assert_model_of(folder, step):
    """The model in a run's folder is whole and holds the averaged weights of that step's checkpoint."""
    checkpoint = read_checkpoint(folder / "model")
    average = read_tensors(folder / "checkpoints" / f"step-{step:08d}" / "average.safetensors")
    assert checkpoint.content["recipe"]["provenance"]["steps"] == step
    weights = read_tensors(folder / "model" / "model.safetensors")
    shared = average.keys() & weights.keys()
    assert shared
    for name in shared:
        torch.testing.assert_close(weights[name], average[name].half(), rtol=0, atol=0)


def test_a_model_is_there_from_the_first_sheet_on_and_wherever_a_run_stops(runner, tmp_path):
    steps = runner.with_training(save_every=3).steps(tmp_path)
    present = [(tmp_path / "model").exists() for _ in islice(steps, 6)]
    assert present == 5 * [False] + [True]
    assert_model_of(tmp_path, 6)
    next(steps)
    assert_model_of(tmp_path, 6)
    steps.close()
    assert_model_of(tmp_path, 7)


def test_no_model_of_weights_that_no_step_has_changed(runner, tmp_path):
    stage = runner.stage(tmp_path)
    stage.batch = lambda draw, size: 1 / 0
    with pytest.raises(ZeroDivisionError):
        next(train(stage, runner.recipe.training, tmp_path, device="cpu"))
    assert not (tmp_path / "model").exists()


def test_a_finished_run_mends_a_model_of_an_earlier_step(autoencoder_recipe, tmp_path):
    """As kill -9 leaves it between the last checkpoint and the last model."""
    runner = Runner(autoencoder_recipe)
    runner.stop_after(7, tmp_path)
    (tmp_path / "model").rename(tmp_path / "earlier")
    before = runner.finish(tmp_path)
    shutil.rmtree(tmp_path / "model")
    (tmp_path / "earlier").rename(tmp_path / "model")
    assert runner.finish(tmp_path) == before


def test_a_diffusion_model_finds_its_first_stage_wherever_both_are_moved(diffusion_recipe, first_stage, tmp_path):
    Runner(diffusion_recipe).finish(tmp_path / "run")
    model = load_model(tmp_path / "run" / "model")
    assert model.condition(["a red circle"]).context.shape == (1, 12, 8)
    assert not str(read_checkpoint(tmp_path / "run" / "model").content["first_stage"]["path"]).startswith("/")


def test_a_finished_run_is_left_alone_until_it_is_to_last_longer(autoencoder_recipe, tmp_path):
    runner = Runner(autoencoder_recipe).with_training(num_steps=2, decay="constant")
    before = runner.finish(tmp_path)
    (tmp_path / "model" / "README.md").write_text("a card")
    assert list(runner.steps(tmp_path)) == []
    assert (tmp_path / "model" / "README.md").exists()
    (tmp_path / "model" / "model.safetensors").unlink()
    assert runner.finish(tmp_path) == before
    longer = runner.with_training(num_steps=3)
    assert [step.index for step in longer.steps(tmp_path)] == [2]
    assert read_checkpoint(tmp_path / "model").content["recipe"]["provenance"]["steps"] == 3


def test_the_average_is_applied_for_sheets_and_taken_back(autoencoder_recipe, tmp_path):
    """Drawing at every step or never leads to the same weights."""
    runner = Runner(autoencoder_recipe).with_training(num_steps=3)
    often = runner.with_training(sheet_every=1).finish(tmp_path / "often")
    never = runner.with_training(sheet_every=100).finish(tmp_path / "never")
    name = "checkpoints/step-00000003/{}.safetensors"
    for part in ("model", "average", "optimiser"):
        assert often[name.format(part)] == never[name.format(part)]


def test_accumulation_is_a_larger_batch(autoencoder_recipe, tmp_path):
    """Two passes of two images are one of four; VQ, since it draws no noise. fp32: sums in another order."""
    autoencoder = replace(autoencoder_recipe.autoencoder, bottleneck=VQConfig(num_codes=8))
    objective = AutoencoderObjectiveConfig(perceptual="none", adversarial_weight=0.0)
    recipe = replace(autoencoder_recipe, autoencoder=autoencoder, objective=objective)
    results = []
    for accumulation in (1, 2):
        runner = Runner(recipe).with_training(num_steps=2, accumulation=accumulation, batch_size=4 // accumulation)
        folder = tmp_path / str(accumulation)
        losses = [(step.loss, step.grad_norm, step.terms["pixel"]) for step in runner.steps(folder)]
        weights = read_tensors(folder / "checkpoints" / "step-00000002" / "model.safetensors")
        results.append((losses, weights))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stage_forgets_the_precision_it_was_trained_in(autoencoder_recipe, tmp_path, precision):
    runner = Runner(autoencoder_recipe).with_training(num_steps=1, precision=precision)
    stage = runner.stage(tmp_path)
    forward = stage.objective.forward
    list(train(stage, runner.recipe.training, tmp_path, device="cpu"))
    assert stage.objective.forward == forward


def test_fp16_needs_a_gpu(autoencoder_recipe, tmp_path):
    with pytest.raises(ConfigError, match="precision is 'fp16', which needs a GPU; choose bf16 or fp32"):
        next(Runner(autoencoder_recipe).with_training(precision="fp16").steps(tmp_path))


# Not a number


def plant(stage, where, value, *, at_step):
    """Make one number of one step not finite."""
    batch, arguments = stage.batch, stage.step_arguments

    def poisoned_batch(draw, size):
        content = batch(draw, size)
        if draw == at_step and where in content:
            content[where][(0,) * content[where].ndim] = value
        return content

    def poisoned_arguments(step):
        parameters = dict(stage.objective.named_parameters())
        parameter = next(p for name, p in parameters.items() if name.endswith("conv_out.weight"))
        if step == at_step and where == "weight":
            parameter.data[0, 0, 0, 0] = value
        if step == at_step and where == "gradient":
            parameter.register_hook(lambda gradient: torch.full_like(gradient, value))
        if step == at_step and where == "loss":
            stage.objective.register_forward_hook(lambda _, __, out: replace(out, total=out.total * value))
        return arguments(step)

    stage.batch, stage.step_arguments = poisoned_batch, poisoned_arguments


@pytest.mark.parametrize(
    ("where", "value", "precision"),
    [
        ("input", NAN, "fp32"),
        ("input", INF, "bf16"),
        ("loss", -INF, "fp32"),
        ("weight", NAN, "fp32"),
        ("gradient", INF, "fp32"),
        ("gradient", NAN, "bf16"),
    ],
)
def test_what_is_not_finite_stops_the_step_that_meets_it(runner, tmp_path, where, value, precision):
    runner = runner.with_training(precision=precision, save_every=2)
    stage = runner.stage(tmp_path)
    name = "x" if isinstance(stage, AutoencoderStage) else "z_0"
    plant(stage, name if where == "input" else where, value, at_step=3)
    clean = {"input": f"input {name}", "weight": r"weight \S*conv_out.weight", "loss": "the loss itself"}
    culprit = clean.get(where, r"the first gradient that is not finite is \S*conv_out.weight")
    steps = train(stage, runner.recipe.training, tmp_path, device="cpu")
    done = []
    with pytest.raises(TrainingError, match=f"step 3: .*{culprit}"):
        done.extend(steps)
    assert newest(tmp_path) == "step-00000002"
    for file in (tmp_path / "checkpoints" / "step-00000002").glob("*.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in read_tensors(file).values())
    if where != "weight":
        assert all(torch.isfinite(tensor).all() for tensor in stage.objective.state_dict().values())


def test_after_a_number_that_is_not_finite_the_run_goes_on(autoencoder_recipe, tmp_path):
    runner = Runner(autoencoder_recipe).with_training(save_every=2)
    stage = runner.stage(tmp_path)
    plant(stage, "weight", NAN, at_step=3)
    with pytest.raises(TrainingError, match="step 3"):
        list(train(stage, runner.recipe.training, tmp_path, device="cpu"))
    assert [step.index for step in islice(runner.steps(tmp_path), 3)] == [2, 3, 4]


def test_an_average_that_is_not_finite_is_never_saved(autoencoder_recipe, tmp_path):
    runner = Runner(autoencoder_recipe)
    runner.stop_after(2, tmp_path)
    from ldm_lab.training.ema import ExponentialAverage

    update = ExponentialAverage.update

    def poisoned(self):
        update(self)
        self.average["encoder.conv_in.weight"][0] = NAN

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExponentialAverage, "update", poisoned)
        with pytest.raises(TrainingError, match="step 3: encoder.conv_in.weight of the average holds NaN"):
            runner.stop_after(1, tmp_path)
    assert newest(tmp_path) == "step-00000002"


@pytest.fixture
def with_scaler(monkeypatch):
    """fp16 without a GPU: the arithmetic of fp32, with the loss scaler that accelerate has there."""

    def accelerator(config, device, *, rests):
        made = genuine(replace(config, precision="fp32"), device, rests=rests)
        made.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
        return made

    def unscale(self, optimizer=None):
        for wrapped in self._optimizers:
            self.scaler.unscale_(wrapped.optimizer)

    genuine = loop._accelerator
    monkeypatch.setattr(loop, "_accelerator", accelerator)
    monkeypatch.setattr(loop.Accelerator, "unscale_gradients", unscale)


def spoil_gradients(stage, steps):
    """Make one gradient infinite in some steps; returns the number of averaged weights' updates seen at each step."""
    arguments, now = stage.step_arguments, []
    parameter = next(p for name, p in stage.objective.named_parameters() if name.endswith("conv_out.weight"))
    parameter.register_hook(lambda gradient: gradient * (INF if now[-1] in steps else 1.0))
    stage.step_arguments = lambda step: now.append(step) or arguments(step)


@pytest.mark.usefixtures("with_scaler")
def test_skipped_steps_are_counted_and_bounded(autoencoder_recipe, tmp_path):
    runner = Runner(autoencoder_recipe).with_training(num_steps=40, save_every=100, sheet_every=100, precision="fp16")
    stage = runner.stage(tmp_path)
    spoil_gradients(stage, {1, 2, *range(4, 40)})
    steps = train(stage, runner.recipe.training, tmp_path, device="cpu")
    seen = []
    with pytest.raises(TrainingError, match="step 23: 20 steps in a row had gradients that are not finite in fp16"):
        seen.extend((step.terms, [p.detach().clone() for p in stage.objective.parameters()]) for step in steps)
    terms, weights = zip(*seen, strict=True)
    assert [term["skipped_in_a_row"] for term in terms] == [0, 1, 2, 0, *range(1, 20)]
    assert [term["loss_scale"] for term in terms[:4]] == [1024, 512, 256, 256]
    assert all(torch.isfinite(tensor).all() for tensors in weights for tensor in tensors)
    torch.testing.assert_close(weights[2], weights[0], rtol=0, atol=0)
    torch.testing.assert_close(weights[-1], weights[3], rtol=0, atol=0)
    assert not all(map(torch.equal, weights[3], weights[2]))


@pytest.mark.usefixtures("with_scaler")
def test_the_loss_scaler_resumes_exactly(autoencoder_recipe, tmp_path):
    runner = Runner(autoencoder_recipe).with_training(num_steps=4, precision="fp16")
    expected = runner.finish(tmp_path / "whole" / "run")
    for _ in range(3):
        runner.stop_after(1, tmp_path / "stopped" / "run")
    assert runner.finish(tmp_path / "stopped" / "run") == expected


# Folders and disks


def test_a_second_trainer_on_the_folder_is_refused(runner, tmp_path):
    steps = runner.steps(tmp_path)
    next(steps)
    with pytest.raises(TrainingError, match="is in use by another training process"):
        next(runner.steps(tmp_path))
    assert next(steps).index == 1  # the first one is not disturbed
    steps.close()


def test_two_runs_may_take_turns(runner, tmp_path):
    """accelerate keeps its state in globals; a run that sleeps must not notice another."""
    alone = [step.loss for step in islice(runner.steps(tmp_path / "alone"), 3)]
    first, second = runner.steps(tmp_path / "first"), runner.with_training(precision="bf16").steps(tmp_path / "second")
    losses = [(next(first).loss, next(second).loss) for _ in range(3)]
    assert [loss for loss, _ in losses] == alone
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"autoencoder": {"channels": 6}}, "autoencoder.channels=4, but now autoencoder.channels=6"),
        ({"data": {"seed": 5}}, "data.seed=0, but now data.seed=5"),
        ({"training": {"learning_rate": 1e-4}}, "training.learning_rate=0.001, but now training.learning_rate=0.0001"),
    ],
)
def test_another_recipe_is_refused(autoencoder_recipe, tmp_path, change, message):
    Runner(autoencoder_recipe).stop_after(1, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    parts = {name: replace(getattr(autoencoder_recipe, name), **values) for name, values in change.items()}
    with pytest.raises(TrainingError, match=message):
        next(Runner(replace(autoencoder_recipe, **parts)).steps(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def pictures(folder, count, size=16):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")


def test_a_folder_may_move_but_not_change(autoencoder_recipe, tmp_path):
    pictures(tmp_path / "here", 5)
    recipe = replace(autoencoder_recipe, data=DataConfig(path=str(tmp_path / "here"), size=16, flip=True))
    Runner(recipe).stop_after(1, tmp_path / "run")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = replace(recipe, data=replace(recipe.data, path=str(tmp_path / "there")))
    Runner(moved).stop_after(1, tmp_path / "run")
    pictures(tmp_path / "there", 6)
    with pytest.raises(TrainingError, match="data.length=10, but now data.length=12"):
        next(Runner(moved).steps(tmp_path / "run"))


def test_a_picture_that_vanishes_stops_the_run_and_nothing_is_lost(autoencoder_recipe, tmp_path):
    pictures(tmp_path / "data", 20)
    recipe = replace(autoencoder_recipe, data=DataConfig(path=str(tmp_path / "data"), size=16))
    steps = Runner(recipe).steps(tmp_path / "run")
    next(steps)
    content = {path: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    for path in content:
        path.unlink()
    with pytest.raises(DataError, match=r"\d\d\d\.png was readable when .* was opened, but is no longer"):
        list(steps)
    saved = int(newest(tmp_path / "run").removeprefix("step-"))
    assert saved >= 1
    for path, data in content.items():
        path.write_bytes(data)
    assert next(Runner(recipe).steps(tmp_path / "run")).index == saved


SKIPPED = 77


def mounted(folder, options, function):
    """In a forked child: run a function while a small or read-only file system lies on ``folder``."""
    libc = ctypes.CDLL(None, use_errno=True)
    identities = {"setgroups": "deny", "uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    if libc.unshare(0x10000000 | 0x00020000):  # CLONE_NEWUSER, CLONE_NEWNS
        os._exit(SKIPPED)
    for name, content in identities.items():
        Path("/proc/self", name).write_text(content)
    if libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, options.encode()):
        os._exit(SKIPPED)
    function(lambda flags: libc.mount(b"none", os.fsencode(folder), b"tmpfs", 32 | flags, options.encode()))  # remount


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stands(autoencoder_recipe, tmp_path, in_child):
    """On a real file system of half a megabyte, where one checkpoint fits and the next does not."""
    Runner(autoencoder_recipe).stop_after(1, tmp_path / "measured")
    files = [path for path in (tmp_path / "measured" / "checkpoints").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    (tmp_path / "disk").mkdir()
    folder = tmp_path / "disk" / "run"
    runner = Runner(autoencoder_recipe).with_training(save_every=2, sheet_every=100)

    def fill(_):
        with pytest.raises(CheckpointError, match=r"disk full: need .*B, have .*B at .*disk.*; free some space"):
            list(runner.steps(folder))
        assert newest(folder) == "step-00000002"
        assert next(runner.with_training(save_every=100).steps(folder)).index == 2

    code = in_child(lambda: mounted(tmp_path / "disk", f"size={int(1.7 * size) // 4096 * 4096}", fill))
    if code == SKIPPED:
        pytest.skip("no namespaces here")
    assert code == 0


def test_a_read_only_folder_is_one_sentence(autoencoder_recipe, tmp_path, in_child):
    (tmp_path / "disk").mkdir()
    runner = Runner(autoencoder_recipe)

    def write_protect(remount):
        runner.stop_after(1, tmp_path / "disk" / "run")
        assert remount(1) == 0  # MS_RDONLY
        for folder in ("run", "new"):
            with pytest.raises(TrainingError, match=f"cannot write .*{folder}: Read-only file system; choose another"):
                next(runner.steps(tmp_path / "disk" / folder))

    code = in_child(lambda: mounted(tmp_path / "disk", "size=8m", write_protect))
    if code == SKIPPED:
        pytest.skip("no namespaces here")
    assert code == 0


# Learning


def losses_of_one_batch(recipe, folder, **training):
    runner = Runner(recipe).with_training(
        warmup_steps=5,
        learning_rate=1e-2,
        decay="constant",
        betas=(0.9, 0.99),
        save_every=1000,
        sheet_every=1000,
        **training,
    )
    stage = runner.stage(folder)
    only = stage.batch(0, recipe.training.batch_size)
    stage.batch = lambda draw, size: only | ({"generator": generator(0)} if "generator" in only else {})
    return [step.loss for step in train(stage, runner.recipe.training, folder, device="cpu")]


def test_the_first_stage_learns_one_batch_by_heart(autoencoder_recipe, tmp_path):
    objective = AutoencoderObjectiveConfig(pixel="l2", perceptual="none", adversarial_weight=0.0)
    config = replace(autoencoder_recipe.autoencoder, channels=16, norm_groups=4, latent_channels=4)
    losses = losses_of_one_batch(
        replace(autoencoder_recipe, objective=objective, autoencoder=config), tmp_path, num_steps=40
    )
    assert losses[-1] < losses[0] / 15


def test_the_second_stage_learns_one_batch_by_heart(diffusion_recipe, no_samples, tmp_path):
    unet = replace(diffusion_recipe.unet, channels=16, norm_groups=4, dropout=0.0)
    losses = losses_of_one_batch(replace(diffusion_recipe, unet=unet), tmp_path, num_steps=60)
    assert losses[-1] < losses[0] / 10


def test_only_named_streams_are_drawn_from(runner, tmp_path):
    """Whatever the caller's global generators hold, the steps are the same."""
    losses = []
    for seed in (1, 2):
        steps = runner.steps(tmp_path / str(seed))
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        losses.append([step.loss for step in islice(steps, 4)])
    assert losses[0] == losses[1]


def test_training_config_refuses_what_no_optimiser_takes():
    with pytest.raises(ConfigError, match="betas is 1.0; it must be from 0.0 to 0.99999"):
        TrainingConfig(betas=(0.9, 1.0))


def test_paths_with_blanks_and_other_letters(autoencoder_recipe, tmp_path):
    folder = tmp_path / "läufe vom Montag" / ("x" * 100)
    Runner(autoencoder_recipe).with_training(num_steps=1).finish(folder)
    assert isinstance(load_autoencoder(folder / "model"), torch.nn.Module)
    assert not [path for path in Path(folder).rglob("*") if path.name.startswith(".tmp-")]

"""``ldm-lab train``: both stages on a folder of one's own, stopped and started again, and what mistakes look like."""

import json
import os
import signal
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab import cli
from ldm_lab.checkpoints import load_autoencoder, load_model, read_checkpoint
from ldm_lab.cli import train as cli_train
from ldm_lab.cli.recipe_options import recipe_options, with_options
from ldm_lab.conditioning import LowResolutionImageConfig, MaskedImageConfig
from ldm_lab.core.config import to_dict
from ldm_lab.core.errors import ConfigError
from ldm_lab.training import autoencoder_stage, diffusion_stage
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.presets import AUTOENCODERS, DIFFUSION
from ldm_lab.training.stage import TrainStep

RUN = "--device cpu --data.size 16 --training.batch-size 2 --training.warmup-steps 0"
AUTOENCODER = f"""train autoencoder {RUN} --autoencoder.channels 4 --autoencoder.channel-mult 1 2
    --autoencoder.norm-groups 2 --autoencoder.latent-channels 2 --autoencoder.no-mid-attention
    --objective.perceptual none --objective.adversarial-weight 0"""
DIFFUSION_WORDS = f"""train diffusion {RUN} --unet.in-channels 2 --unet.out-channels 2 --unet.channels 4
    --unet.channel-mult 1 2 --unet.num-res-blocks 1 --unet.attention-levels 1 --unet.head-channels 4
    --unet.context-dim 8 --unet.norm-groups 2"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(autoencoder_stage, "SCALE_BATCHES", 2)
    monkeypatch.setattr(diffusion_stage.DiffusionStage, "sheet", lambda self: Image.new("RGB", (8, 8)))


@pytest.fixture
def pictures(tmp_path):
    """Two class folders."""
    for index in range(6):
        path = tmp_path / "pictures" / ("cat", "dog")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (20, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "pictures"


def main(words, *more):
    return cli.main([*words.split(), *map(str, more)])


def train_first_stage(folder, pictures, *more, steps=2):
    return main(AUTOENCODER, "--out", folder, "--data", pictures, "--training.num-steps", steps, *more)


@pytest.mark.parametrize("has_bf16", [True, False])
def test_bf16_without_instructions_for_it_is_said_to_be_slow(tmp_path, pictures, capsys, monkeypatch, has_bf16):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_bf16})
    for precision, is_slow in (("bf16", not has_bf16), ("fp32", False)):
        assert train_first_stage(tmp_path / precision, pictures, "--training.precision", precision, steps=1) == 0
        assert ("no instructions for bf16" in capsys.readouterr().out) == is_slow


def test_both_stages_on_class_folders(tmp_path, pictures, capsys):
    assert train_first_stage(tmp_path / "first", pictures, "--data.flip") == 0
    captured = capsys.readouterr()
    assert "autoencoder own" in captured.out
    assert "effective learning rate 0.0002" in captured.out
    assert captured.out.endswith(f"model: {tmp_path / 'first' / 'model'}\n")
    assert "images/s" in captured.err
    assert "step 2: psnr" in captured.err
    load_autoencoder(tmp_path / "first" / "model")
    more = ["--data", pictures, "--first-stage", tmp_path / "first" / "model", "--training.num-steps", 2, "--data.flip"]
    assert main(DIFFUSION_WORDS, "--out", tmp_path / "second", *more) == 0
    model = load_model(tmp_path / "second" / "model")
    assert model.config.conditioner.names == ("cat", "dog")
    assert model.condition(["dog", None]).context.shape == (2, 1, 8)
    assert len(json.loads((tmp_path / "second" / "latents" / "store.json").read_text())) > 1
    assert (
        json.loads((tmp_path / "second" / "latents" / "store.json").read_text())["length"] == 12
    )  # with mirror images
    recipe = read_checkpoint(tmp_path / "second" / "model").content["recipe"]
    assert recipe["data"]["path"] == "pictures"
    assert str(tmp_path) not in (tmp_path / "second" / "model" / "config.json").read_text()


def test_only_the_first_of_several_processes_shows_progress(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    with cli_train._Bar(TrainingConfig(num_steps=2)) as bar:
        for index in range(2):
            bar.show(TrainStep(index, loss=1.0, terms={}, grad_norm=1.0, lr=1e-3, figures={"psnr": 1.0}))
    assert capsys.readouterr().err == ""


def test_captions_train_a_text_transformer(tmp_path, pictures):
    assert train_first_stage(tmp_path / "first", pictures, steps=1) == 0
    lines = [{"file_name": f"cat/{i}.png", "text": ["a cat", f"cat number {i}"]} for i in (0, 2, 4)]
    (pictures / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    more = ["--data", pictures, "--first-stage", tmp_path / "first" / "model", "--training.num-steps", 1]
    assert main(DIFFUSION_WORDS, "--out", tmp_path / "second", *more) == 0
    model = load_model(tmp_path / "second" / "model")
    assert model.conditioner.notes(["a number 4 cat"]) == []


def test_pictures_alone_train_an_unconditional_model(tmp_path, pictures):
    assert train_first_stage(tmp_path / "first", pictures, steps=1) == 0
    more = ["--data", pictures / "cat", "--first-stage", tmp_path / "first" / "model", "--training.num-steps", 1]
    assert main(DIFFUSION_WORDS, "--out", tmp_path / "second", *more) == 0
    assert load_model(tmp_path / "second" / "model").conditioner is None


def test_a_task_on_a_folder_of_ones_own(tmp_path, pictures, capsys):
    """Two tasks on one first stage and one store of latents; any pictures will do for them."""
    assert train_first_stage(tmp_path / "first", pictures, steps=1) == 0
    shared = ["--data", pictures, "--first-stage", tmp_path / "first" / "model", "--latents", tmp_path / "latents"]
    for task, kind in (("inpainting", MaskedImageConfig), ("super-resolution", LowResolutionImageConfig)):
        more = [*shared, "--task", task, "--training.num-steps", 1]
        assert main(DIFFUSION_WORDS, "--out", tmp_path / task, *more) == 0
        assert f"diffusion own, {task} in" in capsys.readouterr().out
        assert isinstance(load_model(tmp_path / task / "model").config.conditioner, kind)
        assert not (tmp_path / task / "latents").exists()
    assert main(DIFFUSION_WORDS, "--out", tmp_path / "layout", *shared, "--task", "layout") == 2
    assert "has no boxes; write" in capsys.readouterr().err


def test_a_task_chooses_its_preset():
    assert cli_train._begin(["--task", "inpainting"], "diffusion")[:2] == ("shapes-inpaint", "inpainting")
    assert cli_train._begin(["--task", "text", "--data", "x"], "diffusion")[:2] == ("own", "text")
    assert cli_train._begin(["--preset", "shapes-sr4"], "diffusion")[:2] == ("shapes-sr4", None)
    assert cli_train._begin([], "diffusion")[0] == "shapes-text"
    assert cli_train._begin([], "autoencoder")[0] == "shapes-kl-f4"
    with pytest.raises(ConfigError, match="there is no task 'painting'; choose one of unconditional, class, text"):
        cli_train._begin(["--task", "painting"], "diffusion")
    with pytest.raises(ConfigError, match="the preset shapes-sr4 is not for the task 'class'; leave one of them out"):
        cli_train._begin(["--task", "class", "--preset", "shapes-sr4"], "diffusion")


def test_a_finished_run_says_so(tmp_path, pictures, capsys):
    for _ in range(2):
        assert train_first_stage(tmp_path / "run", pictures, steps=1) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"finished before; model: {tmp_path / 'run' / 'model'}"


def test_weights_to_start_from(tmp_path, pictures, capsys):
    assert train_first_stage(tmp_path / "a", pictures) == 0
    start = tmp_path / "a" / "model"
    assert train_first_stage(tmp_path / "b", pictures, "--init-from", start) == 0
    identity = read_checkpoint(tmp_path / "b" / "model").content["recipe"]["provenance"]["identity"]
    assert identity["init_from"] == read_checkpoint(start).digest
    capsys.readouterr()
    assert train_first_stage(tmp_path / "c", pictures, "--init-from", start, "--autoencoder.latent-channels", 3) == 2
    assert "cannot start from" in capsys.readouterr().err
    assert train_first_stage(tmp_path / "b", pictures, "--training.save-every", 7) == 2  # forgot where it started
    assert "holds a run with init_from=" in capsys.readouterr().err


MISTAKES = [
    (["--preset", "shapes-kl-f3"], "there is no preset 'shapes-kl-f3'; choose one of shapes-kl-f4, shapes-kl-f2"),
    (["--training.num-steps", "0"], "num_steps is 0; it must be at least 1"),
    (["--autoencoder.channels", "5"], "width 5 cannot be split into norm_groups=2"),
    (["--data", "/nowhere"], "there is no folder /nowhere"),
    (["--training.precision", "fp16"], "precision is 'fp16', which needs a GPU"),
    (["--init-from", "/nowhere"], "there is no folder /nowhere"),
    (["--data.flip"], "flip is True, but the captions of the built-in scenes"),
]


@pytest.mark.parametrize(("words", "sentence"), MISTAKES, ids=[words[0] for words, _ in MISTAKES])
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, words, sentence, capsys):
    assert main(AUTOENCODER, "--out", tmp_path / "run", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("ldm-lab: ")
    assert sentence in error
    assert error.count("\n") == 1


def test_a_missing_first_stage_is_one_sentence(tmp_path, capsys):
    assert main(DIFFUSION_WORDS, "--out", tmp_path, "--first-stage", tmp_path / "nowhere") == 2
    assert "there is no first stage" in capsys.readouterr().err


def test_another_recipe_in_the_same_folder(tmp_path, pictures, capsys):
    assert train_first_stage(tmp_path / "run", pictures) == 0
    assert train_first_stage(tmp_path / "run", pictures, "--training.seed", 1) == 2
    assert "training.seed=0, but now training.seed=1 is asked for" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_told(tmp_path, pictures, capsys):
    assert train_first_stage(tmp_path / "run", pictures, "--training.save-every", 1) == 0
    (tmp_path / "run" / "checkpoints" / "step-00000002" / "state.json").write_text("{}")
    assert train_first_stage(tmp_path / "run", pictures, "--training.save-every", 1) == 0
    assert "note: step-00000002 is damaged and put aside" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, pictures, number, code):
    folder, errors = tmp_path / "run", tmp_path / "errors"
    child = os.fork()
    if child == 0:
        with open(errors, "w") as sys.stderr:
            code = train_first_stage(folder, pictures, "--training.sheet-every", 1, steps=2_000)
        os._exit(code)
    deadline = time.monotonic() + 60
    while not (folder / "sheets" / "step-00000002.png").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child, number)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
    (checkpoint,) = (folder / "checkpoints").iterdir()
    step = int(checkpoint.name.removeprefix("step-"))
    last = errors.read_text().splitlines()[-1]
    assert last == f"ldm-lab: stopped after step {step}; the same command goes on from there"
    assert "Traceback" not in errors.read_text()


def test_a_signal_before_the_first_step(tmp_path, pictures, monkeypatch, capsys):
    monkeypatch.setattr(autoencoder_stage, "open_source", lambda _: signal.raise_signal(signal.SIGTERM))
    assert train_first_stage(tmp_path / "run", pictures) == 143
    assert "stopped before its first checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", [*AUTOENCODERS.values(), *DIFFUSION.values()])
def test_options_without_words_are_the_preset(recipe):
    config = recipe()
    assert with_options(config, recipe_options(config)()) == config


def test_options_reach_every_depth():
    config = DIFFUSION["shapes-text"]()
    options = recipe_options(config, omit=frozenset({"data.path"}))()
    assert not hasattr(options.data, "path")
    changed = replace(options, unet=replace(options.unet, channels=64), num_examples=7)
    result = with_options(config, changed)
    assert to_dict(result) == to_dict(replace(config, unet=replace(config.unet, channels=64), num_examples=7))
    with pytest.raises(ConfigError, match="channels is 1; it must be"):
        with_options(config, replace(options, unet=replace(options.unet, channels=1)))

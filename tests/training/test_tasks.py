"""Every task of the paper trains: from the built-in scenes, and from a folder that describes its pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.checkpoints import load_autoencoder, load_model, save_autoencoder
from ldm_lab.core.errors import CheckpointMismatchError
from ldm_lab.core.layout import LayoutObject
from ldm_lab.data.degradations import bicubic
from ldm_lab.data.order import stream_indices
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.data.source import DataConfig
from ldm_lab.training.conditioner_choice import TASKS
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.training.loop import train

CONCATENATED = ("semantic", "super-resolution", "inpainting")


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Six pictures of which all is said that can be."""
    folder, lines = tmp_path_factory.mktemp("described"), []
    for index in range(6):
        pixels = np.random.default_rng(index).integers(0, 256, (16, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        Image.fromarray(pixels[..., 0] // 64).save(folder / f"map-{index}.png")
        box = {"label": ["cat", "dog"][index % 2], "box": [4, 2, 14, 12]}
        words = {"text": f"picture {index}", "class": "even" if index % 2 == 0 else "odd"}
        lines.append({"file_name": f"{index}.png", "boxes": [box], "map": f"map-{index}.png"} | words)
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def recipe_for(diffusion_recipe, task, path=None, **training):
    training = replace(diffusion_recipe.training, **{"num_steps": 2, "batch_size": 3} | training)
    data = DataConfig(path=None if path is None else str(path), size=16)
    return replace(diffusion_recipe, conditioner=task, data=data, training=training)


def prepared(recipe, folder, **options):
    stage = DiffusionStage(recipe, **options)
    list(stage.prepare(folder / "latents", device="cpu"))
    return stage


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("world", ["scenes", "folder"])
def test_two_steps(diffusion_recipe, described, no_samples, tmp_path, task, world):
    recipe = recipe_for(diffusion_recipe, task, described if world == "folder" else None)
    stage = prepared(recipe, tmp_path)
    steps = list(train(stage, stage.recipe.training, tmp_path, device="cpu"))
    assert len(steps) == 2
    assert all(np.isfinite(step.loss) and step.grad_norm > 0 for step in steps)
    model = load_model(tmp_path / "model")
    assert type(model.config.conditioner) is type(stage.recipe.conditioner)
    y = stage._conditions([1, 0], variant=7)
    cond = model.condition(y)
    prediction = model.predict(torch.zeros(2, 2, 8, 8), torch.tensor([5, 9]), cond)
    assert torch.isfinite(prediction).all()


@pytest.mark.parametrize("task", CONCATENATED)
def test_sheets_of_models_without_guidance(diffusion_recipe, tmp_path, task):
    stage = prepared(recipe_for(diffusion_recipe, task), tmp_path)
    assert stage.sheet().size == (4 * 18 + 2, 2 * 18 + 2)
    stage.export(tmp_path / "model", provenance={})
    assert "guidance" not in (tmp_path / "model" / "config.json").read_text().split('"recipe"')[0]


def test_conditions_belong_to_their_latents(diffusion_recipe, tmp_path):
    """What is concatenated describes the very image whose latent it lies beside."""
    stage = prepared(recipe_for(diffusion_recipe, "super-resolution"), tmp_path)
    x = ShapeScenes(size=16).images(stream_indices(4, 4, length=10, seed=0))
    torch.testing.assert_close(stage.batch(1, 4)["prepared"]["image"], bicubic(x, factor=2))
    painted = prepared(recipe_for(diffusion_recipe, "inpainting"), tmp_path).batch(1, 4)["prepared"]
    known = (painted["mask"] == 0).expand(-1, 3, -1, -1)
    torch.testing.assert_close(painted["visible"][known], x[known])
    assert (painted["visible"][~known] == -1).all()


def test_masks_and_degradations_are_drawn_anew_in_every_epoch(diffusion_recipe, tmp_path):
    for task, name, changes in (
        ("inpainting", "mask", {}),
        ("super-resolution", "image", {"degradation": "practical"}),
    ):
        recipe = replace(recipe_for(diffusion_recipe, task), num_examples=1, **changes)
        stage = prepared(recipe, tmp_path / task)
        drawn = [stage.batch(draw, 1)["prepared"][name] for draw in range(6)]
        assert len({tensor.numpy().tobytes() for tensor in drawn}) > 4
        assert stage.batch(3, 1)["prepared"][name].equal(drawn[3])


def test_what_is_visible_passes_through_the_first_stage(diffusion_recipe, first_stage, tmp_path):
    stage = prepared(recipe_for(diffusion_recipe, "inpainting"), tmp_path)
    batch = stage.batch(0, 3)["prepared"]
    cond = stage.model.conditioner(batch)
    with torch.no_grad():
        expected = load_autoencoder(first_stage).encode(batch["visible"]).mode()
    torch.testing.assert_close(cond.concat[:, :2], expected)
    names = [name for name, _ in stage.objective.named_parameters()]
    assert not any("autoencoder" in name for name in names)


def test_a_stopped_inpainting_run_ends_as_one_that_was_not(diffusion_recipe, run_of, no_samples, tmp_path):
    runner = run_of(recipe_for(diffusion_recipe, "inpainting", num_steps=5, save_every=2, warmup_steps=0))
    whole = runner.finish(tmp_path / "a" / "run")
    for _ in range(4):
        runner.stop_after(1, tmp_path / "b" / "run")
    assert runner.finish(tmp_path / "b" / "run") == whole


def test_runs_of_one_first_stage_and_data_share_their_latents(diffusion_recipe, tmp_path, monkeypatch):
    first = prepared(recipe_for(diffusion_recipe, "layout"), tmp_path)
    monkeypatch.setattr(DiffusionStage, "_moments", lambda *_: pytest.fail("nothing is encoded again"))
    for task in ("inpainting", "semantic", "text"):
        second = prepared(recipe_for(diffusion_recipe, task), tmp_path)
        torch.testing.assert_close(second.store.moments([3])[0], first.store.moments([3])[0], rtol=0, atol=0)


def test_the_degradation_counts_only_where_there_is_one(diffusion_recipe):
    for task, differs in (("inpainting", False), ("super-resolution", True)):
        recipe = recipe_for(diffusion_recipe, task)
        other = replace(recipe, degradation="practical")
        assert (DiffusionStage(recipe).identity != DiffusionStage(other).identity) == differs


@pytest.fixture
def trained(diffusion_recipe, tmp_path):
    """The folder of a text model whose weights are far from zero."""
    stage = prepared(recipe_for(diffusion_recipe, "text"), tmp_path / "first")
    for parameter in stage.averaged.parameters():
        parameter.data.uniform_(-0.2, 0.2)
    stage.export(tmp_path / "trained", provenance={})
    return tmp_path / "trained"


def test_inpainting_begins_as_the_unconditional_model_that_it_comes_from(diffusion_recipe, tmp_path):
    start = prepared(recipe_for(diffusion_recipe, "unconditional"), tmp_path)
    for parameter in start.averaged.parameters():
        parameter.data.uniform_(-0.2, 0.2)
    start.export(tmp_path / "start", provenance={})
    with pytest.warns(UserWarning, match="3 channels of the UNet's input are new and begin at zero"):
        stage = prepared(recipe_for(diffusion_recipe, "inpainting"), tmp_path, init_from=tmp_path / "start")
    expected = load_model(tmp_path / "start").eval()
    z_t, t = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 400, 900])
    cond = stage.model.condition(stage._conditions([0, 1, 2], variant=0))
    with torch.no_grad():
        found = stage.model.eval().predict(z_t, t, cond)
        torch.testing.assert_close(found, expected.predict(z_t, t), rtol=1e-4, atol=1e-5)


def test_what_is_not_taken_over_is_named(diffusion_recipe, trained, tmp_path):
    with pytest.warns(UserWarning, match="the conditioner begins anew: that of .*trained is of another kind"):
        stage = DiffusionStage(recipe_for(diffusion_recipe, "layout"), init_from=trained)
    expected = load_model(trained).unet.state_dict()
    torch.testing.assert_close(stage.model.unet.state_dict(), expected, rtol=0, atol=0)
    with pytest.warns(UserWarning, match=r"begins anew: .*attentions") as caught:
        DiffusionStage(recipe_for(diffusion_recipe, "semantic"), init_from=trained)
    notes = [str(note.message) for note in caught]
    assert any(note.startswith("has no place here: ") for note in notes)
    assert f"the conditioner of {trained} has no place here" not in notes  # there is another one


def test_unets_of_other_sizes_are_refused(diffusion_recipe, trained):
    recipe = recipe_for(diffusion_recipe, "text")
    wider = replace(recipe, unet=replace(recipe.unet, channels=8))
    with pytest.raises(
        CheckpointMismatchError, match=r"cannot start from .*trained: its conv_in.bias has shape \(4,\)"
    ):
        DiffusionStage(wider, init_from=trained)
    with pytest.raises(CheckpointMismatchError, match="cannot start from .*it cannot be cut to 2"):
        DiffusionStage(recipe, init_from=exported(diffusion_recipe, "inpainting", trained.parent))


def exported(diffusion_recipe, task, folder, path=None):
    stage = prepared(recipe_for(diffusion_recipe, task, path), folder / f"{task}-run")
    for parameter in stage.averaged.parameters():
        parameter.data.uniform_(-0.2, 0.2)
    stage.export(folder / task, provenance={})
    return folder / task


def test_classes_are_taken_over_by_name(diffusion_recipe, described, tmp_path):
    start = exported(diffusion_recipe, "class", tmp_path, described)
    for index in range(2):
        (tmp_path / "pictures" / ("odd", "new")[index]).mkdir(parents=True)
        Image.open(described / f"{index}.png").save(tmp_path / "pictures" / ("odd", "new")[index] / "a.png")
    with pytest.warns(UserWarning, match="begins anew among the classes: new"):
        stage = DiffusionStage(recipe_for(diffusion_recipe, "class", tmp_path / "pictures"), init_from=start)
    old, new = load_model(start).conditioner.embedding.weight, stage.model.conditioner.embedding.weight
    assert stage.model.config.conditioner.names == ("new", "odd")  # there: even, odd
    torch.testing.assert_close(new[1:], old[1:], rtol=0, atol=0)
    assert not new[0].equal(old[0])


def test_layouts_of_the_same_words_are_taken_over(diffusion_recipe, described, tmp_path, recwarn):
    start = exported(diffusion_recipe, "layout", tmp_path, described)
    stage = DiffusionStage(recipe_for(diffusion_recipe, "layout", described), init_from=start)
    assert not [note for note in recwarn if "begins anew" in str(note.message)]
    y = [(LayoutObject(("cat",), (0.0, 0.0, 1.0, 0.5)),)]
    with torch.no_grad():
        expected = load_model(start).condition(y)
        torch.testing.assert_close(stage.model.eval().condition(y).context, expected.context)


def test_another_first_stage_is_noted(diffusion_recipe, first_stage, trained, tmp_path):
    other = load_autoencoder(first_stage)
    other.encoder.conv_in.bias.data += 1
    save_autoencoder(tmp_path / "other", other, recipe={}, dtype=torch.float32)
    recipe = replace(recipe_for(diffusion_recipe, "text"), first_stage=str(tmp_path / "other"))
    with pytest.warns(UserWarning, match="was trained on the latents of another first stage"):
        DiffusionStage(recipe, init_from=trained)

import dataclasses
import json
import shutil

import pytest
import torch
from PIL import Image

import ldm_lab as lab
from ldm_lab import api, checkpoints
from ldm_lab.checkpoints import read_checkpoint, reference_to, save_model
from ldm_lab.core.errors import CheckpointCorruptError, CheckpointFormatError, ConfigError, ImageError, RequestError
from ldm_lab.tasks import Branch, ImageToImageSettings, Paint, Recipe, picture


@pytest.fixture(scope="module")
def pipeline(tiny_folder):
    return lab.load(tiny_folder)


@pytest.fixture(scope="module")
def run(pipeline):
    return pipeline.text_to_image("a large red circle", seeds=[0, 1, 2])


@pytest.fixture
def png(run, tmp_path):
    run.images[1].save(tmp_path / "circle.png")
    return tmp_path / "circle.png"


@pytest.fixture
def shipped(tiny_folder, tmp_path, monkeypatch):
    """The tiny model in place of the shipped ones."""
    shutil.copytree(tiny_folder.parent, tmp_path / "zoo")
    for module in (checkpoints.zoo, checkpoints.first_stage):
        monkeypatch.setattr(module, "ZOO", tmp_path / "zoo")
    return tmp_path / "zoo"


def rewrite(png, **changes):
    """Change entries of the record in a PNG."""
    image, record = picture.read_record(png)
    picture.RunImage.of(image, record | changes).save(png)


class TestLoad:
    def test_a_folder(self, pipeline, tiny_folder):
        assert pipeline.name == "tiny-text"
        assert pipeline.origin.digest == read_checkpoint(tiny_folder).digest
        assert pipeline.origin.first_stage_digest == read_checkpoint(tiny_folder.parent / "tiny-kl").digest
        assert not pipeline.model.training

    def test_the_model_s_defaults(self, run):
        assert (run.settings.num_steps, run.settings.guidance_scale, run.settings.sampler) == (3, 2.5, "ddim")

    @pytest.mark.usefixtures("shipped")
    def test_a_shipped_name(self):
        assert checkpoints.shipped_models() == ["tiny-text"]
        assert checkpoints.shipped_first_stages() == ["tiny-kl"]
        assert lab.load("tiny-text").name == "tiny-text"

    @pytest.mark.usefixtures("shipped")
    def test_the_world_of_a_shipped_text_model(self):
        assert lab.load("tiny").name == "tiny-text"

    @pytest.mark.usefixtures("shipped")
    def test_an_unknown_name_lists_the_shipped_ones(self):
        with pytest.raises(
            CheckpointFormatError, match=r"no model 'shapes'; give a folder or a shipped name \(tiny-text"
        ):
            lab.load("shapes")

    def test_a_first_stage_is_no_model(self, tiny_folder):
        with pytest.raises(CheckpointFormatError, match="kind 'autoencoder'"):
            lab.load(tiny_folder.parent / "tiny-kl")

    def test_bad_defaults_name_the_file(self, tiny_model, tiny_folder, tmp_path):
        first_stage = reference_to(tiny_folder.parent / "tiny-kl", path=str(tiny_folder.parent / "tiny-kl"))
        save_model(tmp_path / "m", tiny_model, first_stage=first_stage, recipe={}, defaults={"num_steps": 0})
        with pytest.raises(CheckpointFormatError, match="config.json: num_steps is 0"):
            lab.load(tmp_path / "m")

    def test_an_unknown_device(self, tiny_folder):
        with pytest.raises(ConfigError, match="device is 'quantum'"):
            lab.load(tiny_folder, device="quantum")


class TestOpenRun:
    def test_settings_are_there_without_a_model(self, png, run, monkeypatch):
        monkeypatch.setattr(api, "load", None)
        opened = lab.open_run(png)
        assert opened.settings == run.settings
        assert opened.recorded == run.provenance

    @pytest.mark.usefixtures("shipped")
    def test_the_run_is_made_again_bit_for_bit(self, png, run):
        opened = lab.open_run(png)
        assert [image.tobytes() for image in opened.images] == [image.tobytes() for image in run.images]
        assert opened.notes == ("the picture made again equals the file bit for bit",)

    @pytest.mark.parametrize("how", ["pipeline", "folder", "string"])
    def test_a_model_may_be_given(self, png, run, pipeline, tiny_folder, how):
        model = {"pipeline": pipeline, "folder": tiny_folder, "string": str(tiny_folder)}[how]
        opened = lab.open_run(str(png), model=model)
        assert opened.images[2].tobytes() == run.images[2].tobytes()

    def test_the_content_of_a_file_will_do_and_has_no_name(self, png, run, pipeline):
        content = png.read_bytes()
        opened = lab.open_run(content, model=pipeline)
        assert opened.settings == run.settings
        assert opened.notes[-1] == "the picture made again equals the file bit for bit"
        with pytest.raises(ImageError, match="^the image is truncated"):
            lab.open_run(content[:60])

    def test_a_partial_run_is_made_again_as_far_as_it_went(self, pipeline, tmp_path):
        run = pipeline.text_to_image("a star", num_steps=5, on_step=lambda step: step.index < 2)
        run.images[0].save(tmp_path / "x.png")
        opened = lab.open_run(tmp_path / "x.png", model=pipeline)
        assert opened.partial
        assert len(opened.trajectory) == 3
        assert opened.notes[-1] == "the picture made again equals the file bit for bit"

    def test_a_partial_walk_that_began_inside_is_made_again_as_far_as_it_went(self, pipeline, tmp_path):
        asked = {"image": torch.zeros(3, 16, 16), "prompt": "a star", "num_steps": 8, "strength": 0.5}
        run = pipeline.carry_out(ImageToImageSettings.of(**asked), on_step=lambda step: step.index < 5)
        assert run.outcome.stopped_after == 2
        run.images[0].save(tmp_path / "x.png")
        opened = lab.open_run(tmp_path / "x.png", model=pipeline)
        assert len(opened.trajectory) == 2
        assert opened.notes[-1] == "the picture made again equals the file bit for bit"

    def test_a_branch_of_a_branch_is_made_again_with_all_that_it_comes_from(self, pipeline, run, tmp_path):
        edit = Recipe((Paint.of(value=1.0, region=torch.eye(8)),))
        changed = dataclasses.replace(run.settings, prompt="a small blue star")
        child = pipeline.carry_out(changed, branch=Branch(parent=run, step=1, recipe=edit))
        part = pipeline.carry_out(changed, branch=Branch(parent=child, step=1), on_step=lambda step: False)
        assert part.outcome.stopped_after == 2
        for branch in (child, part):
            branch.images[0].save(tmp_path / "x.png")
            opened = lab.open_run(tmp_path / "x.png", model=pipeline)
            assert opened.notes[-1] == "the picture made again equals the file bit for bit"
            assert opened.record == branch.record
            assert opened.branch.parent.trajectory[0].z_t.equal(run.trajectory[0].z_t)

    def test_a_large_picture_in_the_settings_is_read_back(self, pipeline, tmp_path):
        """Noise cannot be compressed: of 640 × 640 pixels a record of 1.6 million characters."""
        noise = Image.effect_noise((640, 640), 90)
        picture = Image.merge("RGB", [noise, noise.rotate(90), noise.rotate(180)])
        settings = ImageToImageSettings.of(image=picture, strength=0.0, num_steps=1)
        run = pipeline.carry_out(settings)
        run.images[0].save(tmp_path / "x.png")
        assert lab.open_run(tmp_path / "x.png").settings == run.settings

    def test_other_versions_are_named(self, png, run, pipeline):
        provenance = picture.read_record(png)[1]["provenance"]
        provenance["environment"]["versions"]["torch"] = "1.0"
        rewrite(png, provenance=provenance)
        notes = lab.open_run(png, model=pipeline).notes
        now = run.provenance.environment.versions["torch"]
        assert notes[0] == f"environment.versions.torch was 1.0, now it is {now}"

    def test_other_weights_are_named_and_the_difference_measured(self, png, run, make_tiny_model):
        other = lab.Pipeline(make_tiny_model(seed=1))
        notes = lab.open_run(png, model=other).notes
        assert any(
            note.startswith(f"model.digest was {run.provenance.model.digest}, now it is absent") for note in notes
        )
        assert "differs from the file by up to" in notes[-1]

    def test_a_changed_picture_is_noticed(self, png, pipeline):
        image, record = picture.read_record(png)
        picture.RunImage.of(image.resize((20, 20)), record).save(png)
        assert "was changed after it was saved" in lab.open_run(png, model=pipeline).notes[-1]

    def test_a_model_that_does_not_come_with_the_package_must_be_given(self, png):
        with pytest.raises(RequestError, match="made by 'tiny-text', which does not come with ldm_lab; pass open_run"):
            _ = lab.open_run(png).images

    def test_a_hostile_record_is_refused_at_once(self, png):
        rewrite(png, settings={"prompt": "x", "num_steps": 10**6})
        with pytest.raises(RequestError, match="circle.png cannot be read as a run: num_steps is 1000000"):
            lab.open_run(png)

    def test_a_picture_without_a_run(self, run, tmp_path):
        run.images[0].save(tmp_path / "x.jpg")
        with pytest.raises(ImageError, match="x.jpg carries no settings"):
            lab.open_run(tmp_path / "x.jpg")

    def test_a_model_name_in_a_record_cannot_lead_to_a_folder(self, png, tiny_folder):
        provenance = json.loads(json.dumps(picture.read_record(png)[1]["provenance"]))
        provenance["model"]["name"] = str(tiny_folder)
        rewrite(png, provenance=provenance)
        with pytest.raises(RequestError, match="does not come with ldm_lab"):
            _ = lab.open_run(png).images


def test_damage_is_found_when_loading(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder.parent, tmp_path / "models")
    path = tmp_path / "models" / "tiny-text" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointCorruptError, match="model.safetensors was altered"):
        lab.load(path.parent)

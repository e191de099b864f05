from dataclasses import replace

import pytest
from PIL import Image

import ldm_lab as lab
from ldm_lab.core.errors import ConfigError
from ldm_lab.training import brief
from ldm_lab.training.brief import train_briefly


@pytest.mark.slow
def test_a_model_of_the_recipe_s_kind_comes_out(tmp_path, monkeypatch):
    monkeypatch.setattr(brief, "NUM_EXAMPLES", 8)
    model = lab.load(train_briefly("shapes-sr4", tmp_path, num_steps=2, batch_size=2, device="cpu"), device="cpu")
    run = model.super_resolution(Image.new("RGB", (16, 16), (230, 40, 40)), num_steps=2)
    assert run.images[0].size == (64, 64)
    assert model.model.config.unet.channels == brief.DIFFUSION["shapes-sr4"]().unet.channels // 2


def test_a_first_stage_is_trained_as_well(tmp_path, monkeypatch):
    seen = {}

    def stand_in(stage, training, folder, *, device):
        seen.update(kind=type(stage).__name__, training=training)
        yield from ()

    monkeypatch.setattr(brief, "train", stand_in)
    assert train_briefly("shapes-vq-f4", tmp_path, num_steps=100, batch_size=4) == tmp_path / "model"
    own = brief.AUTOENCODERS["shapes-vq-f4"]().training
    assert seen["kind"] == "AutoencoderStage"
    assert seen["training"] == replace(own, num_steps=100, batch_size=4, warmup_steps=10, ema_decay=0.9)


def test_an_unknown_recipe_is_named_with_those_that_exist(tmp_path):
    with pytest.raises(ConfigError, match="there is no recipe 'shapes-what'; choose one of shapes-kl-f4, .*shapes-sr4"):
        train_briefly("shapes-what", tmp_path, num_steps=1)

"""What stage 1 hands to the loop, shows and leaves behind."""

from dataclasses import replace

import pytest
import torch

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.linear_preview import fit_linear_preview
from ldm_lab.checkpoints import load_autoencoder, read_checkpoint
from ldm_lab.core.errors import CheckpointMismatchError, ConfigError, ShapeError
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.data.source import DataConfig
from ldm_lab.training import autoencoder_stage
from ldm_lab.training.autoencoder_stage import AutoencoderStage


def test_images_of_the_first_stage_come_in_the_order_of_the_stream(autoencoder_recipe):
    stage = AutoencoderStage(autoencoder_recipe)
    torch.testing.assert_close(stage.batch(3, 2)["x"], ShapeScenes(size=16).images([6, 7]), rtol=0, atol=0)


def test_crops_are_windows_of_the_images(autoencoder_recipe):
    stage = AutoencoderStage(replace(autoencoder_recipe, data=DataConfig(size=16, crop=8)))
    whole, window = ShapeScenes(size=16).images([6, 7]), stage.batch(3, 2)["x"]
    assert window.shape == (2, 3, 8, 8)
    candidates = whole.unfold(2, 8, 1).unfold(3, 8, 1).permute(0, 2, 3, 1, 4, 5)  # (2, 9, 9, 3, 8, 8)
    assert (candidates == window[:, None, None]).flatten(3).all(3).flatten(1).any(1).all()
    with pytest.raises(ShapeError, match="crop is 17 pixels"):
        AutoencoderStage(replace(autoencoder_recipe, data=DataConfig(size=16, crop=17))).batch(0, 1)


def test_figures_of_the_first_stage_by_hand(autoencoder_recipe):
    stage = AutoencoderStage(autoencoder_recipe)
    with torch.no_grad():
        figures = stage.figures()
        x = ShapeScenes(size=16).images(range(8))
        error = ((stage.averaged(x).clamp(-1, 1) - x) / 2).square().mean(dim=(1, 2, 3))
        z = stage.averaged.encode(x).mode()
    assert figures["psnr"] == pytest.approx((-10 * error.log10()).mean().item(), abs=1e-4)
    assert figures["latent_std"] == pytest.approx(z.std().item(), rel=1e-5)
    assert figures["latent_std_1"] == pytest.approx(z[:, 1].std().item(), rel=1e-5)
    assert figures["latent_mean_0"] == pytest.approx(z[:, 0].mean().item(), rel=1e-5)
    assert figures["kl_per_dim"] == pytest.approx(stage.averaged.encode(x).kl().mean().item(), rel=1e-4)


def test_figures_of_a_codebook(autoencoder_recipe):
    autoencoder = replace(autoencoder_recipe.autoencoder, bottleneck=VQConfig(num_codes=8))
    with torch.no_grad():
        figures = AutoencoderStage(replace(autoencoder_recipe, autoencoder=autoencoder)).figures()
    assert 0 < figures["codebook_usage"] <= 1 <= figures["codebook_perplexity"] <= 8


def test_the_sheet_holds_originals_above_reconstructions(autoencoder_recipe):
    stage = AutoencoderStage(autoencoder_recipe)
    with torch.no_grad():
        sheet = stage.sheet()
    assert sheet.size == (8 * 18 + 2, 2 * 18 + 2)


def test_exported_latents_have_unit_variance_and_the_stage_is_left_alone(autoencoder_recipe, tmp_path):
    stage = AutoencoderStage(autoencoder_recipe)
    stage.export(tmp_path / "model", provenance={"steps": 3})
    stage.export(tmp_path / "model", provenance={"steps": 4})  # replaces
    assert stage.averaged.config.scale_factor == 1.0
    exported = load_autoencoder(tmp_path / "model")
    with torch.no_grad():
        posterior = exported.encode(ShapeScenes(size=16).images(range(32)))
        z = exported.config.scale_factor * posterior.sample(torch.Generator().manual_seed(0))
    assert z.std().item() == pytest.approx(1.0, rel=0.02)
    assert read_checkpoint(tmp_path / "model").content["recipe"]["provenance"] == {"steps": 4}


def test_a_preview_of_the_data_s_own_pictures_is_stored(autoencoder_recipe, tmp_path):
    stage = AutoencoderStage(autoencoder_recipe)
    stage.export(tmp_path / "model", provenance={})
    exported = load_autoencoder(tmp_path / "model")
    assert stage.averaged.linear_preview is None, "the stage trains on"
    fitted = fit_linear_preview(stage.averaged, [stage.source.images(range(64))])
    torch.testing.assert_close(exported.linear_preview.weight, fitted.weight, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("length", "num_batches"), [(20, 2), (32, 2), (33, 3), (10_000, 4), (None, 4)])
def test_of_a_small_data_set_the_scale_is_measured_on_every_image_once(
    autoencoder_recipe, tmp_path, monkeypatch, length, num_batches
):
    monkeypatch.setattr(autoencoder_stage, "SCALE_BATCHES", 4)
    monkeypatch.setattr(autoencoder_stage, "measure_scale", lambda _, batches: float(len(list(batches))))
    stage = AutoencoderStage(autoencoder_recipe)
    stage.length = length
    stage.export(tmp_path / "model", provenance={})
    assert load_autoencoder(tmp_path / "model").config.scale_factor == num_batches


def test_starting_weights(autoencoder_recipe, first_stage, tmp_path):
    stage = AutoencoderStage(autoencoder_recipe, init_from=first_stage)
    torch.testing.assert_close(stage.averaged.state_dict(), load_autoencoder(first_stage).state_dict(), rtol=0, atol=0)
    assert stage.identity["init_from"] == read_checkpoint(first_stage).digest
    assert "init_from" not in AutoencoderStage(autoencoder_recipe).identity
    larger = replace(autoencoder_recipe.autoencoder, channels=6)
    with pytest.raises(CheckpointMismatchError, match=r"cannot start from .*: its .* has shape .*, this recipe needs"):
        AutoencoderStage(replace(autoencoder_recipe, autoencoder=larger), init_from=first_stage)


def test_a_decoder_learns_alone_and_the_latents_stay(autoencoder_recipe, tmp_path):
    AutoencoderStage(autoencoder_recipe).export(tmp_path / "first", provenance={})
    recipe = replace(autoencoder_recipe, trained="decoder")
    stage = AutoencoderStage(recipe, init_from=tmp_path / "first")
    stage.objective(**stage.batch(0, 2), step=0).total.backward()
    learning = {name.split(".")[0] for name, weight in stage.averaged.named_parameters() if weight.grad is not None}
    assert learning == {"decoder", "post_quant_conv"}
    with torch.no_grad():
        for parameter in stage.averaged.decoder.parameters():
            parameter.add_(0.1)
    stage.export(tmp_path / "second", provenance={})
    first, second = (load_autoencoder(read_checkpoint(tmp_path / name)) for name in ("first", "second"))
    x = ShapeScenes(size=16).images(range(2))
    assert first.config.scale_factor == second.config.scale_factor != 1.0
    assert torch.equal(first.encode(x).mode(), second.encode(x).mode())
    assert not torch.equal(first(x), second(x))


def test_a_decoder_alone_needs_an_encoder_to_go_with_it(autoencoder_recipe):
    with pytest.raises(ConfigError, match="trained is 'decoder', but no trained encoder is given"):
        AutoencoderStage(replace(autoencoder_recipe, trained="decoder"))

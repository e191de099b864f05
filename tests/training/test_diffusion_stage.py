"""What stage 2 hands to the loop, shows and leaves behind."""

from dataclasses import replace

import pytest
import torch

from ldm_lab.checkpoints import load_autoencoder, load_model, read_checkpoint, save_autoencoder
from ldm_lab.core.errors import DataError
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.data.source import DataConfig
from ldm_lab.diffusion import ObjectiveConfig
from ldm_lab.training.diffusion_stage import DiffusionStage


def prepared(recipe, folder, **options):
    stage = DiffusionStage(recipe, **options)
    assert list(stage.prepare(folder / "latents", device="cpu"))[-1] == stage.length
    return stage


def test_latents_are_those_of_the_first_stage_scaled(diffusion_recipe, first_stage, tmp_path):
    autoencoder = load_autoencoder(first_stage)
    autoencoder.config = replace(autoencoder.config, scale_factor=2.5)
    save_autoencoder(tmp_path / "scaled", autoencoder, recipe={}, dtype=torch.float32)
    stage = prepared(replace(diffusion_recipe, first_stage=str(tmp_path / "scaled")), tmp_path)
    from ldm_lab.core.seeding import generator
    from ldm_lab.data.order import stream_indices

    batch = stage.batch(1, 4)
    x = ShapeScenes(size=16).images(stream_indices(4, 4, length=10, seed=0))
    with torch.no_grad():
        expected = 2.5 * autoencoder.encode(x).sample(generator(0, "posterior", 1))
    torch.testing.assert_close(batch["z_0"], expected, rtol=0, atol=5e-3)  # the store has 16 bits
    assert batch["t"].shape == (4,)
    assert batch["noise"].shape == batch["z_0"].shape == (4, 2, 8, 8)
    assert batch["prepared"]["tokens"].shape == (4, 12)
    assert "offset" not in batch


def test_modes_are_learned_where_they_are_asked_for(diffusion_recipe, tmp_path):
    recipe = replace(diffusion_recipe, num_examples=1, condition_dropout=0.0, posterior="mode")
    stage = prepared(recipe, tmp_path)
    mode = stage.model.scale_factor * stage.store.moments([0])[0]
    assert all(torch.equal(stage.batch(draw, 1)["z_0"], mode) for draw in range(3))


def test_a_latent_is_drawn_anew_and_its_caption_phrased_anew_in_every_epoch(diffusion_recipe, tmp_path):
    recipe = replace(diffusion_recipe, num_examples=1, condition_dropout=0.0)
    stage = prepared(recipe, tmp_path)
    batches = [stage.batch(draw, 1) for draw in range(8)]
    for name in ("z_0", "t", "noise"):
        assert len({str(batch[name].tolist()) for batch in batches}) == 8
    assert len({str(batch["prepared"]["tokens"].tolist()) for batch in batches}) > 1


@pytest.mark.parametrize("dropout", [0.0, 0.25, 1.0])
def test_conditions_are_dropped_as_often_as_asked(diffusion_recipe, tmp_path, dropout):
    stage = prepared(replace(diffusion_recipe, condition_dropout=dropout), tmp_path)
    null = stage.model.conditioner.prepare([""])["tokens"]
    tokens = torch.cat([stage.batch(draw, 32)["prepared"]["tokens"] for draw in range(12)])
    share = (tokens == null).all(1).double().mean().item()
    assert share == pytest.approx(dropout, abs=4 * (dropout * (1 - dropout) / 384) ** 0.5)


def test_offset_noise_is_drawn_where_it_is_asked_for(diffusion_recipe, tmp_path):
    stage = prepared(replace(diffusion_recipe, objective=ObjectiveConfig(offset_noise=0.1)), tmp_path)
    batch = stage.batch(0, 4)
    assert batch["offset"].shape == (4, 2, 1, 1)
    assert torch.isfinite(stage.objective(**batch).total)


def test_the_sheet_shows_samples(diffusion_recipe, tmp_path):
    stage = prepared(diffusion_recipe, tmp_path)
    first, second = stage.sheet(), stage.sheet()
    assert first.size == (4 * 18 + 2, 2 * 18 + 2)
    assert first.tobytes() == second.tobytes()
    unconditional = replace(diffusion_recipe, conditioner=None, unet=replace(diffusion_recipe.unet, context_dim=None))
    assert prepared(unconditional, tmp_path).sheet().size == first.size


def test_figures_of_the_second_stage_are_those_of_scaled_latents(diffusion_recipe, tmp_path):
    stage = prepared(diffusion_recipe, tmp_path)
    mean, _ = stage.store.moments(range(10))
    assert stage.figures()["latent_std"] == pytest.approx(mean.std().item(), rel=1e-5)
    assert stage.figures()["latent_mean_1"] == pytest.approx(mean[:, 1].mean().item(), rel=1e-5)


def test_the_first_stage_is_known_by_its_digest_and_not_by_its_place(diffusion_recipe, first_stage, tmp_path):
    copied = load_autoencoder(first_stage)
    save_autoencoder(tmp_path / "elsewhere", copied, recipe={"other": 1}, dtype=torch.float32)
    identity = DiffusionStage(diffusion_recipe).identity
    moved = replace(diffusion_recipe, first_stage=str(tmp_path / "elsewhere"), sheet_guidance=7.0)
    assert DiffusionStage(moved).identity == identity
    copied.encoder.conv_in.bias.data += 1
    save_autoencoder(tmp_path / "changed", copied, recipe={}, dtype=torch.float32)
    other = DiffusionStage(replace(diffusion_recipe, first_stage=str(tmp_path / "changed")))
    assert other.identity["first_stage_digest"] != identity["first_stage_digest"]
    prepared(diffusion_recipe, tmp_path)
    with pytest.raises(DataError, match="was built for another first_stage"):
        list(other.prepare(tmp_path / "latents", device="cpu"))


def test_a_model_to_start_from_brings_its_words_along(diffusion_recipe, tmp_path):
    stage = prepared(diffusion_recipe, tmp_path)
    stage.model.unet.conv_out.weight.data.fill_(0.25)
    stage.export(tmp_path / "model", provenance={})
    fewer = replace(diffusion_recipe, num_examples=2)  # so few captions lack most words
    assert DiffusionStage(fewer).model.config.conditioner.vocab_size < stage.model.config.conditioner.vocab_size
    started = DiffusionStage(fewer, init_from=tmp_path / "model")
    expected = load_model(tmp_path / "model")
    torch.testing.assert_close(started.model.unet.state_dict(), expected.unet.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(
        started.model.conditioner.state_dict(), expected.conditioner.state_dict(), rtol=0, atol=0
    )
    assert started.model.conditioner.prepare(["a small red circle"])["tokens"].equal(
        expected.conditioner.prepare(["a small red circle"])["tokens"]
    )
    assert started.identity["init_from"] == read_checkpoint(tmp_path / "model").digest


def test_the_same_captions_give_the_same_tokenizer(diffusion_recipe):
    first, second = (DiffusionStage(diffusion_recipe).identity["tokenizer"] for _ in range(2))
    assert first == second
    other = replace(diffusion_recipe, data=DataConfig(size=16, seed=1))
    assert DiffusionStage(other).identity["tokenizer"] != first


def test_the_conditioner_learns_with_the_unet(diffusion_recipe, tmp_path):
    stage = prepared(replace(diffusion_recipe, condition_dropout=0.0), tmp_path)
    for parameter in stage.model.unet.parameters():  # zero at the start, so that nothing would reach the context
        parameter.data += 0.01
    stage.objective(**stage.batch(0, 4)).total.backward()
    gradients = {name: p.grad.abs().sum() > 0 for name, p in stage.averaged.named_parameters() if p.grad is not None}
    assert gradients["conditioner.token_embedding.weight"]
    assert gradients["unet.conv_in.weight"]
    assert all(p.grad is None for p in stage.model.autoencoder.parameters())

import dataclasses

import pytest
import torch

from ldm_lab.data.source import caption_corpus, conditions, open_source
from ldm_lab.training.autoencoder_stage import AutoencoderStage
from ldm_lab.training.conditioner_choice import KIND_OF_TASK, TASKS, build_for, check_widths
from ldm_lab.training.presets import AUTOENCODERS, DIFFUSION, PRESET_OF_TASK
from ldm_lab.unet.unet import UNet

LARGEST = 4_100_000  # parameters of a shipped model: 8 MB in 16 bits
LARGEST_EMOJI = {"emoji-kl-f4": 6_000_000, "emoji-vq-f4": 6_000_000, "emoji-text": 16_000_000}  # 12 and 32 MB
SHIPPED_TASKS = [name for name in DIFFUSION if name not in ("own", "shapes-text")]

pytestmark = pytest.mark.usefixtures("stand_in_emoji")


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_first_stages_can_be_built(name):
    stage = AutoencoderStage(AUTOENCODERS[name]())
    assert len(stage.batch(0, 1)["x"]) == 1
    assert sum(parameter.numel() for parameter in stage.averaged.parameters()) < LARGEST_EMOJI.get(name, LARGEST)
    factor = stage.averaged.config.downsampling_factor
    assert name == "own" or name.endswith(f"-f{factor}")


@pytest.mark.parametrize("name", DIFFUSION)
def test_presets_fit_their_first_stages(name):
    recipe = DIFFUSION[name]()
    first = AUTOENCODERS["own" if name == "own" else recipe.first_stage]()
    assert recipe.unet.out_channels == first.autoencoder.latent_channels
    latent_side = recipe.data.size // first.autoencoder.downsampling_factor
    assert latent_side % recipe.unet.side_factor == 0


@pytest.mark.parametrize("name", SHIPPED_TASKS)
def test_presets_can_be_built_are_small_and_read_their_conditions(name):
    recipe = DIFFUSION[name]()
    source = open_source(recipe.data)
    many_words = [" ".join(map(str, range(10_000)))]  # a vocabulary as large as the recipe lets it become
    with torch.device("meta"):
        _, conditioner = build_for(source, recipe.conditioner, lambda: many_words)
        unet = UNet(recipe.unet)
    check_widths(recipe.unet, conditioner)
    parts = [unet] if conditioner is None else [unet, conditioner]
    assert sum(parameter.numel() for part in parts for parameter in part.parameters()) < LARGEST_EMOJI.get(
        name, LARGEST
    )
    if conditioner is not None:
        assert recipe.unet.in_channels == recipe.unet.out_channels + conditioner.concat_channels
        assert conditioner.prepare(conditions(source, range(3), kind=recipe.condition))


def test_every_task_has_a_preset_of_its_own():
    assert set(PRESET_OF_TASK) == set(TASKS)
    assert {task: DIFFUSION[name]().condition for task, name in PRESET_OF_TASK.items()} == KIND_OF_TASK


def test_recipes_of_one_world_share_their_latents():
    """Pictures, first stage and number of examples are those of the text model, so that one store serves all."""
    text = DIFFUSION["shapes-text"]()
    for name in PRESET_OF_TASK.values():
        recipe = DIFFUSION[name]()
        data = dataclasses.replace(recipe.data, complete_captions=text.data.complete_captions)
        assert (data, recipe.first_stage, recipe.num_examples) == (text.data, text.first_stage, text.num_examples)


def test_the_first_stages_of_emoji_share_data_and_networks():
    kl, vq = AUTOENCODERS["emoji-kl-f4"](), AUTOENCODERS["emoji-vq-f4"]()
    assert (kl.data, kl.training) == (vq.data, vq.training)
    assert dataclasses.replace(vq.autoencoder, bottleneck=kl.autoencoder.bottleneck) == kl.autoencoder


def test_the_text_model_of_emoji_reads_every_word_of_the_captions():
    recipe = DIFFUSION["emoji-text"]()
    source = open_source(recipe.data)
    _, conditioner = build_for(source, recipe.conditioner, lambda: caption_corpus(source, range(source.num_drawings)))
    assert conditioner.notes(source.captions(range(500))) == []

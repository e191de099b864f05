from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.conditioning import (
    ClassLabelConfig,
    LayoutTransformerConfig,
    LowResolutionImageConfig,
    MaskedImageConfig,
    SemanticMapConfig,
    TextTransformerConfig,
)
from ldm_lab.core.errors import ConfigError, DataError
from ldm_lab.data.scenes import COLORS, SHAPES
from ldm_lab.data.source import DataConfig, open_source
from ldm_lab.training.conditioner_choice import build_for, check_widths
from ldm_lab.training.diffusion_recipe import DiffusionRecipe, fit_to_data
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.unet.config import UNetConfig

FIRST_STAGE = AutoencoderConfig(latent_channels=2, channels=4, channel_mult=(1, 2), norm_groups=2)


def save_pictures(folder, *names):
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


@pytest.fixture
def sources(tmp_path):
    save_pictures(tmp_path / "classes", "cat/a.png", "dog/b.png")
    save_pictures(tmp_path / "alone", "a.png")
    save_pictures(tmp_path / "captions", "a.png")
    (tmp_path / "captions" / "metadata.jsonl").write_text('{"file_name": "a.png", "text": ["a cat", "one dog"]}')
    names = ("classes", "alone", "captions")
    return {name: DataConfig(path=str(tmp_path / name), size=16) for name in names} | {"scenes": DataConfig(size=16)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("classes", ClassLabelConfig),
        ("captions", TextTransformerConfig),
        ("scenes", TextTransformerConfig),
        ("alone", None),
    ],
)
def test_the_data_set_chooses_the_conditioner(diffusion_recipe, sources, name, kind):
    recipe = replace(diffusion_recipe, conditioner="from-data", data=sources[name])
    fitted = fit_to_data(recipe, open_source(recipe.data), FIRST_STAGE)
    if kind is None:
        assert (fitted.conditioner, fitted.unet.context_dim) == (None, None)
    else:
        assert isinstance(fitted.conditioner, kind)
        assert fitted.conditioner.width == fitted.unet.context_dim == 8
    assert fit_to_data(fitted, open_source(recipe.data), FIRST_STAGE) is fitted
    DiffusionStage(recipe)


@pytest.mark.parametrize(
    ("task", "expected", "beside"),
    [
        ("unconditional", None, 0),
        ("class", ClassLabelConfig, 0),
        ("text", TextTransformerConfig, 0),
        ("layout", LayoutTransformerConfig, 0),
        ("semantic", SemanticMapConfig, 8),
        ("super-resolution", LowResolutionImageConfig(factor=2), 3),
        ("inpainting", MaskedImageConfig(latent_channels=2), 3),
    ],
)
def test_a_task_takes_what_it_needs_from_the_scenes(diffusion_recipe, sources, task, expected, beside):
    recipe = replace(diffusion_recipe, conditioner=task, data=sources["scenes"])
    fitted = fit_to_data(recipe, open_source(recipe.data), FIRST_STAGE)
    found = fitted.conditioner
    assert expected in (found, type(found))
    assert fitted.unet.in_channels == fitted.unet.out_channels + beside
    is_read_as_context = task in ("class", "text", "layout")
    assert fitted.is_guided == is_read_as_context
    assert fitted.unet.context_dim == (8 if is_read_as_context else None)
    assert fitted.condition_dropout == (0.1 if is_read_as_context else 0.0)


@pytest.mark.parametrize(
    ("task", "message"), [("layout", "has no boxes"), ("semantic", "has no semantic maps"), ("text", "has no captions")]
)
def test_what_a_task_lacks_is_named(diffusion_recipe, sources, task, message):
    recipe = replace(diffusion_recipe, conditioner=task, data=sources["classes"])
    with pytest.raises(DataError, match=message):
        fit_to_data(recipe, open_source(recipe.data), FIRST_STAGE)


def test_pictures_have_no_null_condition():
    with pytest.raises(ConfigError, match="condition_dropout is 0.1, but a model of masked images"):
        DiffusionRecipe(conditioner=MaskedImageConfig(latent_channels=4))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SemanticMapConfig(num_classes=4), "num_classes of the maps is 4, but the data set has 9 classes"),
        (LayoutTransformerConfig(vocabularies=(("circle",), ("red",))), "the data set calls its objects by"),
        (LayoutTransformerConfig(vocabularies=(SHAPES,)), "the data set calls its objects by"),
        (
            LayoutTransformerConfig(vocabularies=(SHAPES, tuple(COLORS)), max_objects=1),
            "max_objects is 1, but a picture of the data set has 2 objects",
        ),
    ],
)
def test_what_a_conditioner_does_not_know_is_found_before_training(sources, config, message):
    with pytest.raises(ConfigError, match=message):
        build_for(open_source(sources["scenes"]), config, list)


def test_nothing_is_chosen_for_a_unet_that_reads_no_context(diffusion_recipe, sources):
    unet = replace(diffusion_recipe.unet, context_dim=None)
    recipe = replace(diffusion_recipe, unet=unet, conditioner="from-data", data=sources["classes"])
    assert fit_to_data(recipe, open_source(recipe.data), FIRST_STAGE).conditioner is None
    with pytest.raises(ConfigError, match="context_dim=None, but a class is read by cross-attention"):
        fit_to_data(replace(recipe, conditioner="class"), open_source(recipe.data), FIRST_STAGE)


def test_the_number_of_classes_must_be_right(sources):
    source = open_source(sources["classes"])
    with pytest.raises(ConfigError, match="num_classes is 3, but the data set has 2 classes"):
        build_for(source, ClassLabelConfig(num_classes=3), list)


def test_words_of_all_variants_are_known(diffusion_recipe, sources):
    stage = DiffusionStage(replace(diffusion_recipe, data=sources["captions"]))
    assert stage.model.conditioner.notes(["one cat", "a dog"]) == []


@pytest.mark.parametrize(
    ("target", "unet", "message"),
    [
        ("context", {"context_dim": 16}, "the UNet has context_dim=16, but the conditioner gives 8"),
        ("context", {}, "the UNet has context_dim=None, but the conditioner gives 8"),
        ("vector", {"vector_dim": 4}, "the UNet has vector_dim=4, but the conditioner gives 8"),
        ("vector", {"context_dim": 8}, "the UNet has context_dim=8, but the conditioner gives None"),
    ],
)
def test_widths_must_agree(target, unet, message):
    from ldm_lab.conditioning import build_conditioner

    conditioner = build_conditioner(ClassLabelConfig(num_classes=2, width=8, target=target))
    config = UNetConfig(num_heads=1, **unet)
    with pytest.raises(ConfigError, match=message):
        check_widths(config, conditioner)

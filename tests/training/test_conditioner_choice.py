from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ldm_lab.conditioning import ClassLabelConfig, TextTransformerConfig
from ldm_lab.core.errors import ConfigError
from ldm_lab.data.source import DataConfig, open_source
from ldm_lab.training.conditioner_choice import build_for, check_widths, conditioner_for
from ldm_lab.training.diffusion_stage import DiffusionStage, fit_to_data
from ldm_lab.unet.config import UNetConfig


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
    fitted = fit_to_data(recipe, open_source(recipe.data))
    if kind is None:
        assert (fitted.conditioner, fitted.unet.context_dim) == (None, None)
    else:
        assert isinstance(fitted.conditioner, kind)
        assert fitted.conditioner.width == fitted.unet.context_dim == 8
    assert fit_to_data(fitted, open_source(recipe.data)) is fitted
    DiffusionStage(recipe)


def test_nothing_is_chosen_for_a_unet_that_reads_no_context(sources):
    assert conditioner_for(open_source(sources["classes"]), width=None) is None


def test_the_number_of_classes_must_be_right(sources):
    source = open_source(sources["classes"])
    with pytest.raises(ConfigError, match="num_classes is 3, but the folder has 2 classes"):
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

"""Emphasis: what each cell counts, that small things count as much as large ones, and what it does to the loss."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ConfigError, DataError
from ldm_lab.core.layout import LayoutObject
from ldm_lab.data.scenes import COLORS
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.data.source import conditions
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.training.emphasis import EMPHATIC, emphasis_on
from ldm_lab.training.presets import shapes_uncond

EARLY, LATE = torch.tensor([100]), torch.tensor([500])


def thing(*box):
    return LayoutObject(("star", "red"), box)


def of(*things, t=EARLY, size=(4, 4), weight=0.5):
    return emphasis_on([things], t, size=size, num_steps=1000, weight=weight)[0, 0]


def tiny(**changes):
    recipe = shapes_uncond()
    unet = replace(recipe.unet, channels=8, norm_groups=4, head_channels=8)
    return replace(recipe, unet=unet, num_examples=16, recognition_weight=0.0, **changes)


class TestCells:
    def test_those_that_a_box_touches_count_more(self):
        found = of(thing(0.25, 0.3, 0.5, 0.6))  # the second column; the second and the third row
        assert found.tolist() == [[1, 1, 1, 1], [1, 5, 1, 1], [1, 5, 1, 1], [1, 1, 1, 1]]

    @pytest.mark.parametrize("box", [(0, 0, 1, 1), (0.1, 0.1, 0.2, 0.2), (0.9, 0.0, 1.0, 1.0), (0.3, 0.2, 0.8, 0.9)])
    def test_each_thing_counts_the_same_altogether(self, box):
        found = of(thing(*box), size=(16, 16), weight=0.3)
        assert found.mean().item() == pytest.approx(1.3)

    def test_two_things_in_one_cell_add_up(self):
        assert of(thing(0.1, 0.1, 0.2, 0.2), thing(0.0, 0.0, 0.2, 0.2), size=(2, 2)).tolist() == [[5, 1], [1, 1]]

    def test_with_much_noise_and_without_things_all_count_one(self):
        assert torch.equal(of(thing(0, 0, 1, 1), t=LATE), torch.ones(4, 4))
        assert torch.equal(of(), torch.ones(4, 4))

    @pytest.mark.parametrize(("names", "expected"), [(("cross",), 1.5), (("cross", "star"), 2.5), (("red",), 2.5)])
    def test_things_with_an_emphatic_name_count_three_times_as_much(self, names, expected):
        found = emphasis_on(
            [(thing(0.2, 0.3, 0.5, 0.6),)], EARLY, size=(8, 8), num_steps=1000, weight=0.5, emphatic_names=names
        )
        assert found.mean().item() == pytest.approx(expected)

    def test_each_picture_has_its_own(self):
        found = emphasis_on(
            [(thing(0, 0, 1, 1),), (thing(0, 0, 1, 1),)],
            torch.tensor([499, 500]),
            size=(2, 2),
            num_steps=1000,
            weight=1,
        )
        assert found.flatten(1).tolist() == [[2, 2, 2, 2], [1, 1, 1, 1]]


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    stage = DiffusionStage(tiny(emphasis_weight=0.5))
    list(stage.prepare(tmp_path_factory.mktemp("latents"), device="cpu"))
    return stage


class TestStage:
    def test_a_batch_tells_what_its_own_things_count(self, stage):
        batch = stage.batch(0, 16)  # all of them, in the order of the epoch
        has_things = batch["t"] < 500
        counted = batch["emphasis"].mean((1, 2, 3))
        numbers = {len(layout) for layout in conditions(ShapeScenes(), range(16), kind="layout")}
        assert set((counted[has_things] - 1).mul(2).round(decimals=4).tolist()) <= numbers
        assert counted[~has_things].tolist() == [1.0] * int((~has_things).sum())
        assert has_things.any()

    def test_the_loss_counts_it(self, stage):
        batch = stage.batch(0, 8)
        with torch.no_grad():
            plain = stage.objective(**(batch | {"emphasis": None}))
            ones = stage.objective(**(batch | {"emphasis": torch.ones(8, 1, 16, 16)}))
            double = stage.objective(**(batch | {"emphasis": torch.full((8, 1, 16, 16), 2.0)}))
            emphatic = stage.objective(**batch)
        torch.testing.assert_close(ones.total, plain.total)
        torch.testing.assert_close(double.total, 2 * plain.total)
        assert emphatic.total > plain.total
        assert double.terms == plain.terms  # figures to look at stay comparable

    def test_without_weight_there_is_none(self, tmp_path):
        stage = DiffusionStage(tiny())
        list(stage.prepare(tmp_path, device="cpu"))
        assert "emphasis" not in stage.batch(0, 4)


def test_a_data_set_without_boxes_is_refused(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    recipe = tiny(emphasis_weight=0.5)
    with pytest.raises(DataError, match="emphasis_weight is above 0, but the data set has no boxes; add them"):
        DiffusionStage(replace(recipe, data=replace(recipe.data, path=str(tmp_path))))


def test_emphatic_names_that_nothing_has_are_refused():
    with pytest.raises(DataError, match=r"emphatic_names has 'stars', which nothing is called; .* are circle, .*star"):
        DiffusionStage(tiny(emphasis_weight=0.5, emphatic_names=("star", "stars")))


def test_emphatic_names_without_a_weight_are_refused():
    with pytest.raises(ConfigError, match="emphatic_names are star, but emphasis_weight is 0"):
        tiny(emphatic_names=("star",))


def test_emphatic_names_reach_the_batch(tmp_path):
    plain, emphatic = (DiffusionStage(tiny(emphasis_weight=0.5, emphatic_names=names)) for names in ((), tuple(COLORS)))
    for stage in (plain, emphatic):
        list(stage.prepare(tmp_path, device="cpu"))
    torch.testing.assert_close(emphatic.batch(0, 16)["emphasis"] - 1, EMPHATIC * (plain.batch(0, 16)["emphasis"] - 1))

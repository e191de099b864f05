"""Every judge gives a perfect painter full marks, and one who paints for another condition few."""

from types import SimpleNamespace

import pytest
import torch

from ldm_lab.conditioning import LowResolutionImageConfig
from ldm_lab.core.layout import LayoutObject
from ldm_lab.core.masks import MaskedPicture
from ldm_lab.data.scenes import Scene, SceneObject, render
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation.judges import masked, unconditional
from ldm_lab.evaluation.judges.class_label import judge_classes
from ldm_lab.evaluation.judges.layout import judge_layouts, matched, overlap
from ldm_lab.evaluation.judges.masked import fill_untrained, half_mask, judge_masked
from ldm_lab.evaluation.judges.semantic import cells, judge_maps, mean_iou, mosaic, read_maps
from ldm_lab.evaluation.judges.super_resolution import judge_super_resolution
from ldm_lab.evaluation.judges.unconditional import COPY_DISTANCE, judge_unconditional, nearest_distances
from ldm_lab.tasks.settings import GuidedSettings

COUNT = 24
STAR = SceneObject("star", "red", 20.0, 40.0, 13.0)


@pytest.fixture
def drawn():
    return ShapeScenes(split="test").images(range(COUNT))


@pytest.fixture
def few_training_scenes(monkeypatch):
    monkeypatch.setattr(unconditional.nearest_distances, "__kwdefaults__", {"num_scenes": 64})


def only(trials):
    (trial,) = trials
    return trial


def unmet(trial, x):
    values = trial.measure(x)
    return {name for name, figure in trial.figures.items() if not figure.is_met(values[name])}


class TestClasses:
    def test_the_truth_is_right_and_other_images_are_wrong(self, drawn):
        trial = only(judge_classes(None, COUNT, None))
        assert trial.measure(drawn) == {"shows the class": 1.0, "valid scenes": 1.0}
        assert trial.measure(trial.rivals["of another class"])["shows the class"] < 0.2

    def test_the_second_object_counts_too(self):
        trial = only(judge_classes(None, COUNT, None))
        mirrored = ShapeScenes(split="test").images(range(COUNT)).flip(3)
        assert trial.measure(mirrored)["shows the class"] > 0.9


class TestUnconditional:
    def test_test_scenes_are_valid_and_no_copies(self, drawn, few_training_scenes):
        values = only(judge_unconditional(None, COUNT, None)).measure(drawn)
        assert values["valid scenes"] == 1.0
        assert values["copies of training scenes"] == 0.0
        assert values["distance of the nearest training scene, median"] > 2 * COPY_DISTANCE

    def test_training_scenes_are_copies(self, few_training_scenes):
        trial = only(judge_unconditional(None, COUNT, None))
        copies = ShapeScenes(split="train").images(range(COUNT))
        assert trial.measure(copies + 0.02)["copies of training scenes"] == 1.0

    def test_one_scene_over_and_over_is_no_coverage(self, few_training_scenes):
        trial = only(judge_unconditional(None, COUNT, None))
        same = render([Scene((STAR,), "white")]).repeat(COUNT, 1, 1, 1)
        assert {name for name in unmet(trial, same) if "difference" in name} == {
            "shapes: largest difference from the data's share",
            "colours: largest difference from the data's share",
        }
        assert trial.measure(same)["shapes: largest difference from the data's share"] > 0.8

    def test_distances_are_root_mean_squares(self):
        train = ShapeScenes(split="train").images(range(3))
        torch.testing.assert_close(
            nearest_distances(train[:1] + 0.125, num_scenes=3), torch.tensor([0.125]), atol=1e-4, rtol=0
        )

    def test_noise_is_no_scene(self, few_training_scenes):
        noise = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
        assert only(judge_unconditional(None, 4, None)).measure(noise)["valid scenes"] == 0.0


class TestLayouts:
    def test_the_truth_reaches_the_bars_and_another_layout_none(self, drawn):
        trial = only(judge_layouts(None, COUNT, None))
        assert unmet(trial, drawn) == set()
        assert trial.measure(drawn)["mean IoU of boxes"] > 0.9
        assert {"mean IoU of boxes", "shape right", "colour right"} <= unmet(trial, drawn.roll(1, 0))

    def test_an_empty_picture_has_no_overlap(self):
        trial = only(judge_layouts(None, 2, None))
        values = trial.measure(torch.ones(2, 3, 64, 64))
        assert set(values.values()) == {0.0}

    def test_matching_goes_by_overlap_not_by_order(self):
        left = LayoutObject(("star", "red"), (0.0, 0.0, 0.5, 0.5))
        right = LayoutObject(("ring", "blue"), (0.5, 0.5, 1.0, 1.0))
        assert matched((right, left), (left, right)) == [(left, left), (right, right)]
        assert matched((right,), (left, right)) == [(None, left), (right, right)]
        assert overlap(left, LayoutObject(("star", "red"), (0.25, 0.0, 0.75, 0.5))) == pytest.approx(1 / 3)


class TestMaps:
    def test_small_and_large_maps(self):
        for trial in judge_maps(None, 8, None):
            drawn = trial.rivals["drawn by rule"]
            assert drawn.shape[2:] == trial.conditions[0].shape
            assert trial.measure(drawn)["mean IoU of classes"] > 0.9
            assert unmet(trial, torch.ones_like(drawn)) == {"mean IoU of classes"}

    def test_cells_undo_the_mosaic(self):
        x = torch.arange(16 * 3 * 64 * 64, dtype=torch.float32).reshape(16, 3, 64, 64)
        large = mosaic(x)
        assert large.shape == (2, 3, 128, 256)
        assert torch.equal(large[0, :, :64, 64:128], x[1])
        assert torch.equal(cells(large), x)

    def test_mean_iou_by_hand(self):
        asked = torch.tensor([[[0, 0, 1, 1]]])
        seen = torch.tensor([[[0, 1, 1, 2]]])
        assert mean_iou(seen, asked) == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)

    def test_maps_are_read_from_pixels(self, drawn):
        truth = torch.stack(ShapeScenes(split="test").maps(range(COUNT)))
        assert (read_maps(drawn) == truth).double().mean() > 0.99


class TestSuperResolution:
    def test_the_truth_is_above_the_bar_and_bicubic_is_not(self, drawn):
        model = SimpleNamespace(config=SimpleNamespace(conditioner=LowResolutionImageConfig(factor=4)))
        trial = only(judge_super_resolution(SimpleNamespace(model=model), COUNT, None))
        assert unmet(trial, drawn + 0.001) == set()
        assert unmet(trial, trial.rivals["bicubic"]) == {"PSNR"}
        assert "consistency" in unmet(trial, drawn.roll(1, 0))
        assert trial.conditions[0].shape == (3, 16, 16)


class TestMasked:
    @pytest.fixture
    def trial(self, monkeypatch):
        monkeypatch.setattr(masked, "_text_model", lambda: None)
        monkeypatch.setattr(
            masked, "fill_untrained", lambda model, pictures, settings: torch.stack([each.visible for each in pictures])
        )
        return only(judge_masked(None, 8, None))

    def test_the_truth_is_complete_and_a_black_hole_is_not(self, trial):
        truth = torch.stack([each.image for each in trial.conditions])
        assert unmet(trial, trial.finish(truth)) == set()
        assert trial.measure(trial.finish(truth))["hole PSNR"] == 99.0
        assert trial.measure(trial.rivals["hole left black"])["completed to its class"] == 0.0

    def test_known_pixels_are_pasted_back(self, trial):
        finished = trial.finish(torch.zeros(8, 3, 64, 64))
        for made, asked in zip(finished, trial.conditions, strict=True):
            known = (asked.mask == 0).expand(3, -1, -1)
            torch.testing.assert_close(made[known], asked.image[known], atol=1 / 127.5, rtol=0)
            assert made[~known].abs().max() < 0.01

    @pytest.mark.parametrize(("side", "hidden"), [(0, (30, 5)), (1, (30, 50)), (2, (5, 30)), (3, (50, 30))])
    def test_half_masks_hide_one_side_of_the_centre(self, side, hidden):
        scene = Scene((SceneObject("star", "red", 20.0, 20.0, 13.0),), "white")
        mask = half_mask(scene, side=side)
        assert mask.shape == (1, 64, 64)
        assert mask[0][hidden] == 1
        assert mask.mean() == (20 / 64 if side % 2 == 0 else 44 / 64)

    def test_without_training_the_visible_latents_stay(self, tiny_model):
        """An empty mask leaves the reconstruction; a full one leaves nothing of it."""
        x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
        settings = GuidedSettings.of(num_steps=2).resolved(image_size=16)
        rebuilt = tiny_model.decode(tiny_model.encode(x)).clamp(-1, 1)
        kept, anew = (
            fill_untrained(tiny_model, [MaskedPicture(x[0], torch.full((1, 16, 16), value))], settings)
            for value in (0.0, 1.0)
        )
        torch.testing.assert_close(kept, rebuilt, atol=1e-4, rtol=0)
        assert (anew - rebuilt).abs().mean() > 0.05

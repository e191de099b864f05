"""A perfect painter of emoji gets full marks, one who paints other names few, and the real drawings find themselves."""

from types import SimpleNamespace

import pytest
import torch
import torchvision.transforms.v2.functional as vision
from torch import nn

from ldm_lab.data.emoji import EmojiDrawings
from ldm_lab.evaluation.gallery import Gallery
from ldm_lab.evaluation.judges.emoji import (
    AMONG_FIVE,
    BOTH,
    COPIES,
    DISTANCE,
    GENDER,
    NEAREST,
    TONE,
    judge_emoji,
    measured,
    through_first_stage,
)

TITLES = ["seen names", "held-out combinations", "seen combinations", "compositions held out by name"]


class Blunt(nn.Module):
    """A model whose first stage makes everything a little brighter."""

    config = SimpleNamespace(image_size=32)
    device = "cpu"

    def encode(self, x):
        return x + 0.1

    def decode(self, z):
        return z


@pytest.fixture
def trials(stand_in_emoji):
    return {trial.title: trial for trial in judge_emoji(SimpleNamespace(model=Blunt()), 40, None)}


def test_what_is_tried(trials, tiny_catalogue):
    assert list(trials) == TITLES
    held_out = tiny_catalogue.held_out
    assert not {*trials["seen names"].conditions, *trials["seen combinations"].conditions} & held_out
    assert {
        *trials["held-out combinations"].conditions,
        *trials["compositions held out by name"].conditions,
    } <= held_out
    assert set(trials["compositions held out by name"].conditions) == {"cat with tears of joy", "down-left arrow"}
    assert len(trials["seen combinations"].conditions) == len(trials["held-out combinations"].conditions)


@pytest.mark.parametrize("title", TITLES)
def test_drawings_are_right_and_those_of_other_names_are_wrong(trials, title):
    trial = trials[title]
    anew, other = (trial.measure(trial.rivals[words]) for words in ("drawn, placed anew", "of another name"))
    assert anew[NEAREST] > 0.95
    assert other[NEAREST] < 0.1
    assert set(anew) == set(trial.figures)


def test_bars(trials):
    bars = {name: figure.at_least for name, figure in trials["seen names"].figures.items()}
    assert bars == {NEAREST: 0.70, AMONG_FIVE: 0.90, DISTANCE: None}
    assert trials["held-out combinations"].figures[BOTH].at_least == 0.80


def test_a_painter_who_copies_the_training_set_is_found_out(trials, tiny_catalogue):
    trial = trials["held-out combinations"]
    gallery = Gallery(EmojiDrawings(split="all", catalogue=tiny_catalogue, size=32))
    x = gallery.source.images(gallery.indices_of(trial.conditions))
    _, nearest = gallery.nearest_trained(gallery.distances(x))
    copies, honest = trial.measure(gallery.source.images(nearest.tolist())), trial.measure(x)
    assert (copies[COPIES], honest[COPIES]) == (1.0, 0.0)
    assert copies[DISTANCE] < 1e-3 < honest[DISTANCE]
    assert (copies[NEAREST], honest[NEAREST]) == (0.0, 1.0)


def test_tone_and_gender_are_counted_alone_and_together(tiny_catalogue):
    gallery = Gallery(EmojiDrawings(split="all", catalogue=tiny_catalogue, size=32))
    truth = gallery.indices_of(["woman artist: dark skin tone"] * 4)
    made = ["woman artist: dark skin tone", "man artist: dark skin tone", "woman artist", "man artist"]
    values = measured(gallery, gallery.source.images(gallery.indices_of(made)), truth)
    assert (values[TONE], values[GENDER], values[BOTH]) == (0.5, 0.5, 0.25)
    assert values[NEAREST] == 0.25


def test_the_first_stage_is_a_rival(trials):
    trial = trials["seen names"]
    assert trial.measure(trial.rivals["through the first stage"])[DISTANCE] > 1e-3
    x = torch.full((3, 3, 4, 4), 0.5)
    torch.testing.assert_close(through_first_stage(Blunt(), x), x + 0.1)


@pytest.mark.slow
def test_changed_drawings_of_the_font_find_themselves(real_catalogue):
    """The control: it must be right about more than 99 % of them before what it says of samples means anything."""
    source = EmojiDrawings(split="all", catalogue=real_catalogue)
    gallery = Gallery(source)
    truth = list(range(0, source.num_drawings, 11))
    x = source.images(truth)
    changed = {
        "moved, scaled, mirrored": source.images([index + source.num_drawings for index in truth]),
        "blurred": vision.gaussian_blur(x, 7, 1.0),
        "noisy": (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1),
        "of few colours": (x * 3).round() / 3,
    }
    for how, y in changed.items():
        assert measured(gallery, y, truth)[NEAREST] > 0.99, how
    assert measured(gallery, x.roll(1, 0), truth)[NEAREST] < 0.01

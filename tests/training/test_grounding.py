"""Grounding: what names should tell, how answers are judged, and that words of place are learned by it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ldm_lab.conditioning import ClassLabelConfig, train_tokenizer
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.errors import ConfigError, DataError
from ldm_lab.core.layout import LayoutObject
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.training.grounding import Grounding, Names, grounding_target
from ldm_lab.training.presets import shapes_text

UPPER_LEFT, LOWER_RIGHT = (0.0, 0.0, 0.5, 0.25), (0.5, 0.75, 1.0, 1.0)
CAPTION = "a red star above a blue ring"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([CAPTION])


@pytest.fixture(scope="module")
def names(tokenizer):
    return Names(["star", "ring", "red", "blue"], tokenizer)


def target_of(tokenizer, names, caption, *layout):
    tokens = torch.tensor([tokenizer.encode(caption).ids])
    return tokenizer.encode(caption).tokens, {
        name: values[0] for name, values in grounding_target(tokens, [layout], names).items()
    }


class TestTarget:
    def test_names_tell_place_and_all_names_of_their_object(self, tokenizer, names):
        star, ring = LayoutObject(("star", "red"), UPPER_LEFT), LayoutObject(("ring", "blue"), LOWER_RIGHT)
        words, target = target_of(tokenizer, names, CAPTION, ring, star)
        told = {
            words[i]: (target["places"][i].tolist(), target["called"][i].tolist())
            for i in target["refers"].nonzero().flatten().tolist()
        }
        assert told == {
            "red": ([-0.5, -0.75], [1, 0, 1, 0]),
            "star": ([-0.5, -0.75], [1, 0, 1, 0]),
            "blue": ([0.5, 0.75], [0, 1, 0, 1]),
            "ring": ([0.5, 0.75], [0, 1, 0, 1]),
        }

    def test_a_name_of_two_objects_refers_to_neither(self, tokenizer, names):
        both = LayoutObject(("star", "red"), UPPER_LEFT), LayoutObject(("star", "blue"), LOWER_RIGHT)
        words, target = target_of(tokenizer, names, "a red star above a blue star", *both)
        assert [words[i] for i in target["refers"].nonzero().flatten().tolist()] == ["red", "blue"]

    @pytest.mark.parametrize("caption", ["", "a star", "above"])
    def test_what_is_not_in_the_picture_refers_to_nothing(self, tokenizer, names, caption):
        _, target = target_of(tokenizer, names, caption, LayoutObject(("ring", "blue"), LOWER_RIGHT))
        assert not target["refers"].any()

    def test_a_word_of_two_vocabularies_counts_once(self, tokenizer):
        names = Names(["red", "star"], tokenizer)
        _, target = target_of(tokenizer, names, "a red star", LayoutObject(("red", "red"), UPPER_LEFT))
        assert target["called"].sum() == 1

    def test_names_that_no_caption_has_are_refused(self, tokenizer):
        with pytest.raises(DataError, match="no caption has a name of an object in it, such as 'zebra'"):
            Names(["zebra"], tokenizer)


class TestLoss:
    @pytest.fixture
    def target(self, tokenizer, names):
        tokens = torch.tensor([tokenizer.encode(CAPTION).ids])
        return grounding_target(tokens, [(LayoutObject(("ring", "blue"), LOWER_RIGHT),)], names)

    @pytest.fixture
    def cond(self, target):
        draw = torch.Generator().manual_seed(0)
        context = torch.randn(1, target["refers"].shape[1], 3, generator=draw)
        return Conditioning(context=context, vector=torch.randn(1, 5, generator=draw))

    def test_tokens_by_hand(self, cond, target):
        grounding = Grounding(3, 4)
        answers = grounding.read_tokens(cond.context[0, target["refers"][0] > 0])  # of "blue" and of "ring"
        assert len(answers) == 2
        distances = (answers[:, :2] - torch.tensor([0.5, 0.75])).square().sum(1)
        surprise = F.binary_cross_entropy_with_logits(answers[:, 2:], torch.tensor([[0.0, 1.0, 0.0, 1.0]] * 2))
        torch.testing.assert_close(grounding(cond, target), distances.mean() + surprise)

    def test_the_vector_adds_its_answers_for_the_names_in_the_caption(self, cond, target):
        grounding = Grounding(3, 4, vector_width=5)
        tokens_alone = Grounding(3, 4)
        tokens_alone.read_tokens = grounding.read_tokens
        places = grounding.read_vector(cond.vector).reshape(4, 2)
        ring, blue = ((places[number] - torch.tensor([0.5, 0.75])).square().sum() for number in (1, 3))
        expected = tokens_alone(cond, target) + (ring + blue) / 2
        torch.testing.assert_close(grounding(cond, target), expected)

    def test_nothing_to_tell_is_no_error(self, tokenizer, names):
        tokens = torch.tensor([tokenizer.encode("above").ids])
        cond = Conditioning(context=torch.ones(*tokens.shape, 3), vector=torch.ones(1, 5))
        assert Grounding(3, 4, vector_width=5)(cond, grounding_target(tokens, [()], names)) == 0


def tiny(**changes):
    recipe = shapes_text()
    text = replace(recipe.conditioner, width=32, depth=2, num_heads=2, head_channels=16)
    unet = replace(recipe.unet, channels=8, norm_groups=4, head_channels=8, context_dim=32, vector_dim=32)
    training = replace(recipe.training, batch_size=4)
    return replace(recipe, **{"unet": unet, "conditioner": text, "training": training, "num_examples": 64} | changes)


@pytest.fixture(scope="module")
def stage():
    """With fresh weights, which only the slow test trains."""
    return DiffusionStage(tiny(grounding_weight=1.0))


class TestStage:
    def test_it_is_trained_but_neither_averaged_nor_shipped(self, stage):
        assert any(name.startswith("grounding.") for name, _ in stage.objective.named_parameters())
        assert not any("grounding" in name for name, _ in stage.averaged.named_parameters())
        assert stage.identity["recipe"]["grounding_weight"] == 1.0

    def test_without_weight_there_is_none(self):
        assert DiffusionStage(tiny(grounding_weight=0.0)).objective.grounding is None

    def test_targets_are_those_of_the_examples(self, stage):
        indices = [3, 5, 8]
        captions = [str(caption) for caption in ShapeScenes().captions(indices)]
        asked = {"prepared": stage.model.conditioner.prepare(captions)}
        t, z_0 = torch.zeros(3, dtype=torch.long), torch.zeros(3, 4, 16, 16)
        target = stage._told_by_boxes(indices, t, asked, z_0)["grounding_target"]
        for row, scene in enumerate(ShapeScenes().scenes(indices)):
            words = [word for item in scene.objects for word in item.pair]
            once = [word for word in words if words.count(word) == 1]
            assert target["refers"][row].sum() == len(once)

    @pytest.mark.slow
    def test_words_of_place_are_learned_within_a_few_hundred_steps(self, stage):
        """What denoising did not teach in 130,000 images; a place is far off if its word is exchanged."""
        text, grounding = stage.model.conditioner, stage.objective.grounding
        seen, scenes = ShapeScenes(complete_captions=0.7), ShapeScenes()  # as the recipe sees them, and as people ask
        optimiser = torch.optim.AdamW([*text.parameters(), *grounding.parameters()], lr=2e-3, betas=(0.9, 0.99))
        opposites = {"top": "bottom", "bottom": "top", "left": "right", "right": "left", "above": "below"}

        def error(source, indices, change):
            prepared = text.prepare([change(str(caption)) for caption in source.captions(indices)])
            target = grounding_target(prepared["tokens"], source.layouts(indices), stage.names)
            return grounding(text(prepared), target)

        for step in range(500):
            optimiser.zero_grad()
            error(seen, range(32 * step, 32 * step + 32), str).backward()
            optimiser.step()
        with torch.no_grad():
            exchanged = error(
                scenes, range(20_000, 20_200), lambda caption: " ".join(opposites.get(w, w) for w in caption.split())
            )
            assert exchanged > 1.25 * error(scenes, range(20_000, 20_200), str)


def test_a_data_set_without_boxes_is_refused(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "red"}\n')
    recipe = tiny(grounding_weight=1.0)
    with pytest.raises(DataError, match="grounding_weight is above 0, but the data set has no boxes"):
        DiffusionStage(replace(recipe, data=replace(recipe.data, path=str(tmp_path))))


def test_a_model_without_a_text_encoder_is_refused():
    labels = ClassLabelConfig(num_classes=56, width=32)
    with pytest.raises(ConfigError, match=r"grounding_weight is 0.5, but no text encoder is trained"):
        tiny(grounding_weight=0.5, conditioner=labels)

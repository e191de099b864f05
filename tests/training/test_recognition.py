"""Recognition: what features should tell of each place, how answers are judged, and whom the question reaches."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ldm_lab.core.errors import DataError
from ldm_lab.core.layout import LayoutObject
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.training.grounding import words_of
from ldm_lab.training.presets import shapes_class, shapes_text
from ldm_lab.training.recognition import RARE, Recognition, outputs_of, recognition_target

WORDS = ("star", "ring", "red", "blue")


def tiny(recipe, **changes):
    unet = replace(recipe.unet, channels=8, norm_groups=4, head_channels=8)
    training = replace(recipe.training, batch_size=4)
    return replace(recipe, **{"unet": unet, "training": training, "num_examples": 16} | changes)


def tiny_text(**changes):
    recipe = tiny(shapes_text())
    text = replace(recipe.conditioner, width=32, depth=1, num_heads=2, head_channels=16)
    unet = replace(recipe.unet, context_dim=32, vector_dim=32)
    return replace(recipe, **{"conditioner": text, "unet": unet} | changes)


class TestTarget:
    def test_cells_with_their_centre_in_the_box(self):
        target = recognition_target([(LayoutObject(("star", "red"), (0.0, 0.4, 0.5, 1.0)),)], WORDS, (2, 4))
        inside = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])  # centres of rows: 0.25, 0.75
        nothing = torch.zeros(2, 4)
        assert torch.equal(target[0], torch.stack([inside, nothing, inside, nothing]))

    def test_two_things_of_one_name_are_one_there(self):
        things = (
            LayoutObject(("star", "red"), (0.0, 0.0, 1.0, 1.0)),
            LayoutObject(("ring", "red"), (0.0, 0.0, 1.0, 1.0)),
        )
        assert recognition_target([things], WORDS, (1, 1)).flatten().tolist() == [1, 1, 1, 0]

    def test_an_empty_picture_has_none(self):
        assert not recognition_target([()], WORDS, (3, 3)).any()


class TestLoss:
    def test_it_begins_without_an_opinion(self):
        draw = torch.Generator().manual_seed(0)
        target = torch.zeros(2, 4, 8, 8)
        loss = Recognition(6, 4)(torch.randn(2, 6, 8, 8, generator=draw), target)
        torch.testing.assert_close(loss, 4 * F.softplus(torch.tensor(RARE)))  # each of four names at its prior

    def test_by_hand_also_where_features_are_coarser(self):
        draw = torch.Generator().manual_seed(0)
        recognition = Recognition(6, 4)
        torch.nn.init.normal_(recognition.read.weight, generator=draw)
        features, target = torch.randn(1, 6, 1, 2, generator=draw), torch.rand(1, 4, 2, 4, generator=draw)
        expected = 0.0
        for place in range(2):
            h = features[0, :, 0, place]
            h = (h - h.mean()) / (h.var(correction=0) + 1e-5).sqrt()
            share = target[0, :, :, 2 * place : 2 * place + 2].mean((1, 2))
            answer = recognition.read.weight @ h + recognition.read.bias
            chance = answer.sigmoid()
            expected += -(share * chance.log() + (1 - share) * (1 - chance).log()).sum() / 2
        torch.testing.assert_close(recognition(features, target), expected)


def test_outputs_are_seen_within_the_block_alone():
    layer = torch.nn.Linear(2, 3)
    with outputs_of(layer) as seen:
        out = layer(torch.ones(1, 2))
    layer(torch.ones(1, 2))
    assert len(seen) == 1
    assert seen[0] is out
    assert not layer._forward_hooks


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    stage = DiffusionStage(tiny_text(recognition_weight=1.0, grounding_weight=0.0))
    list(stage.prepare(tmp_path_factory.mktemp("latents"), device="cpu"))
    return stage


class TestStage:
    def test_it_is_trained_but_neither_averaged_nor_shipped(self, stage):
        assert any(name.startswith("recognition.") for name, _ in stage.objective.named_parameters())
        assert not any("recognition" in name for name, _ in stage.averaged.named_parameters())
        assert stage.identity["recipe"]["recognition_weight"] == 1.0

    def test_targets_are_those_of_the_examples(self, stage):
        batch, length = stage.batch(0, 4), stage.length
        assert batch["recognition_target"].shape == (4, 16, 16, 16)  # eight shapes, eight colours; 16 by 16 cells
        shown = {tuple(row.amax((1, 2)).nonzero().flatten().tolist()) for row in batch["recognition_target"]}
        known = {
            tuple(sorted({stage.words.index(word) for item in scene.objects for word in item.pair}))
            for scene in ShapeScenes().scenes(range(length))
        }
        assert shown <= known

    def test_the_question_reaches_what_reads_the_words(self, stage):
        for parameter in stage.objective.recognition.read.parameters():
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
        for block in stage.model.unet._transformers:
            torch.nn.init.normal_(block.proj_out.weight, generator=torch.Generator().manual_seed(0))
        value = stage.objective(**stage.batch(0, 4))
        assert value.terms["recognition"] > 0
        stage.objective.zero_grad()
        value.total.backward()  # of denoising nothing arrives there: the last convolution begins at zero
        reader = stage.model.unet.up_blocks[0].attentions[-1].transformer_blocks[0].attn2.to_k.weight
        assert reader.grad.abs().max() > 0

    def test_the_total_is_the_sum(self, stage):
        batch = stage.batch(1, 4)
        with torch.no_grad():
            whole = stage.objective(**batch)
            stage.objective.recognition_weight = 3.0
            more = stage.objective(**batch)
        stage.objective.recognition_weight = 1.0
        torch.testing.assert_close(more.total - whole.total, 2 * whole.terms["recognition"])

    def test_without_weight_there_is_none(self):
        stage = DiffusionStage(tiny_text(recognition_weight=0.0))
        assert stage.objective.recognition is None

    def test_it_needs_no_text(self):
        stage = DiffusionStage(tiny(shapes_class(), recognition_weight=0.5))
        assert stage.objective.recognition is not None


def test_a_word_of_two_vocabularies_counts_once(monkeypatch):
    monkeypatch.setattr("ldm_lab.training.grounding.vocabularies", lambda source: (("red", "star"), ("blue", "red")))
    assert words_of(ShapeScenes(), weight="recognition_weight") == ["red", "star", "blue"]


def test_a_data_set_without_boxes_is_refused(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "red"}\n')
    recipe = tiny_text(recognition_weight=1.0, grounding_weight=0.0)
    with pytest.raises(DataError, match="recognition_weight is above 0, but the data set has no boxes; add them"):
        DiffusionStage(replace(recipe, data=replace(recipe.data, path=str(tmp_path))))

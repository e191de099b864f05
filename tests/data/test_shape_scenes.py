import pytest
import torch

from ldm_lab.data.captions import all_attributes, caption
from ldm_lab.data.scenes import render, sample_scene
from ldm_lab.data.shape_scenes import ShapeScenes


def test_examples_do_not_depend_on_what_else_is_asked_for():
    data = ShapeScenes(seed=4)
    assert data.scenes([9, 2])[1] == data.scenes(range(5))[2] == sample_scene(4, 2)
    assert data.captions([9, 2])[1] == data.captions(range(5))[2]
    torch.testing.assert_close(data.images([9, 2])[1], data.images(range(5))[2], rtol=0, atol=1e-6)


def test_images_are_the_rendered_scenes():
    data = ShapeScenes(seed=4, split="unseen", size=32)
    torch.testing.assert_close(data.images([3, 5]), render([sample_scene(4, i, split="unseen") for i in (3, 5)], 32))


def test_variants_phrase_the_same_scenes_anew():
    data = ShapeScenes()
    first, second = data.captions(range(50)), data.captions(range(50), variant=1)
    assert sum(a.text != b.text for a, b in zip(first, second, strict=True)) > 40
    assert first[7] == caption(data.scenes([7])[0], data.caption_seed(7))


def test_splits_and_seeds_share_no_example():
    texts = [ShapeScenes(seed, split).scenes(range(50)) for seed in (0, 1) for split in ("train", "test", "unseen")]
    assert len({scene for scenes in texts for scene in scenes}) == 300


def test_iterators_are_fine_as_indices():
    assert len(ShapeScenes().captions(iter([1, 2, 3]))) == 3


def test_the_asked_share_of_captions_mentions_everything():
    def share_of_complete(source):
        scenes, captions = source.scenes(range(400)), source.captions(range(400))
        told = [
            mentioned(item.asked) == mentioned(all_attributes(scene))
            for item, scene in zip(captions, scenes, strict=True)
        ]
        return sum(told) / len(told)

    def mentioned(asked):
        sizes = [item.size is not None for item in asked.objects]
        is_located = asked.relation is not None or asked.objects[0].place is not None
        return sizes, is_located, asked.background is not None

    plain, mixed, full = (share_of_complete(ShapeScenes(complete_captions=share)) for share in (0.0, 0.5, 1.0))
    assert plain < 0.5
    assert mixed == pytest.approx((plain + 1) / 2, abs=0.06)
    assert full == 1.0

import dataclasses

import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.probes import heat_map_of, heat_maps, record_cross_attention, walk_words, word_attention, words_of
from ldm_lab.tasks import AddNoise, Branch, Pipeline, Recipe, TextToImageSettings

PROMPT = "a red circle"


@pytest.fixture
def pipeline(tiny_model):
    return Pipeline(tiny_model)


@pytest.fixture
def settings(pipeline):
    asked = TextToImageSettings.of(prompt=PROMPT, seeds=[1, 2], num_steps=2, sampler="ddim")
    return pipeline.resolved(asked)


def test_maps_are_those_of_the_words_of_the_run(pipeline, settings):
    found = word_attention(pipeline, settings)
    with record_cross_attention(pipeline.model.unet) as recording:
        pipeline.carry_out(settings)
    words = words_of(pipeline.model.conditioner, PROMPT)
    expected = heat_map_of(words[1], heat_maps(recording.mean(), size=(8, 8)))
    assert [word.text for word in found.words] == ["a", "red", "circle"]
    assert found.maps.shape == (2, 3, 8, 8)  # places of the latent, though this network attends on 4 × 4
    torch.testing.assert_close(found.maps[:, 1], expected, rtol=0, atol=0)


def test_a_cell_tells_how_much_it_looks_at_each_word(pipeline, settings):
    found = word_attention(pipeline, settings)
    at = found.at(1, 2, image=1)
    assert list(at) == ["a", "red", "circle"]
    assert at["circle"] == found.maps[1, 2, 1, 2].item()
    height = found.maps.shape[2]
    with pytest.raises(RequestError, match=rf"no cell \({height}, 0\) of image 0; there are {height} rows"):
        found.at(height, 0)


def test_a_word_that_occurs_twice_counts_twice(pipeline, settings):
    found = word_attention(pipeline, dataclasses.replace(settings, prompt="red circle red"))
    first, _, second = found.maps[0, :, 0, 0].tolist()
    assert found.at(0, 0)["red"] == first + second


def test_an_empty_prompt_has_no_words(pipeline, settings):
    with pytest.raises(RequestError, match="the prompt is empty"):
        word_attention(pipeline, dataclasses.replace(settings, prompt=""))


class TestWalk:
    @pytest.fixture
    def run(self, pipeline, settings):
        return pipeline.carry_out(dataclasses.replace(settings, num_steps=4))

    def test_the_mean_over_its_steps_is_that_of_the_whole_run(self, pipeline, run):
        walk = walk_words(pipeline, run)
        size = word_attention(pipeline, run.settings).maps.shape[2:]
        over = walk.over(range(4), size=tuple(size), image=1)
        assert over.shape == (4, 3, *size)
        expected = word_attention(pipeline, run.settings).maps[1]
        torch.testing.assert_close(over.mean(0), expected, rtol=0, atol=2e-3)  # steps are kept in fp16

    def test_the_run_is_made_again_bit_for_bit(self, pipeline, run):
        taken = []
        again = walk_words(pipeline, run, on_step=lambda step: taken.append(step.index)).run
        assert taken == [0, 1, 2, 3]
        assert [image.tobytes() for image in again.images] == [image.tobytes() for image in run.images]

    def test_a_group_of_layers_alone(self, pipeline, run):
        walk = walk_words(pipeline, run)
        each = [walk.over([2], size=(8, 8), group=group) for group in walk.maps]
        torch.testing.assert_close(torch.stack(each).mean(0), walk.over([2], size=(8, 8)))
        with pytest.raises(RequestError, match="there is no layer group nowhere; there are down 1/2"):
            walk.over([2], size=(8, 8), group="nowhere")

    def test_steps_before_a_branch_have_no_maps(self, pipeline, run):
        child = pipeline.carry_out(
            run.settings, branch=Branch(parent=run, step=2, recipe=Recipe((AddNoise(amount=0.5),)))
        )
        walk = walk_words(pipeline, child)
        assert walk.run.images[0].tobytes() == child.images[0].tobytes()
        recorded = walk.over(range(4), size=(8, 8)).isfinite().flatten(1)
        assert recorded.all(1).tolist() == [False, False, True, True]
        assert recorded.any(1).tolist() == [False, False, True, True]

    def test_a_run_that_was_stopped_is_stopped_again(self, pipeline, settings):
        asked = dataclasses.replace(settings, num_steps=4)
        partial = pipeline.carry_out(asked, on_step=lambda step: step.index < 1)
        walk = walk_words(pipeline, partial)
        assert walk.run.outcome.stopped_after == partial.outcome.stopped_after == 2
        assert walk.run.images[0].tobytes() == partial.images[0].tobytes()

    def test_other_tasks_and_changing_prompts_are_refused(self, pipeline, settings):
        other = pipeline.run("variation", prompt=PROMPT, num_steps=1, seeds=[1], of_seed=2)
        with pytest.raises(RequestError, match="with one prompt, this one is of variation$"):
            walk_words(pipeline, other)
        later = dataclasses.replace(settings, later_prompts=((0.5, "a blue star"),))
        with pytest.raises(RequestError, match="of text_to_image with prompts that follow each other"):
            walk_words(pipeline, pipeline.carry_out(later))

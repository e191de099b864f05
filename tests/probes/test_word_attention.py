import dataclasses

import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.probes import heat_map_of, heat_maps, record_cross_attention, word_attention, words_of
from ldm_lab.tasks import Pipeline, TextToImageSettings

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
    expected = heat_map_of(words[1], heat_maps(recording.mean()))
    assert [word.text for word in found.words] == ["a", "red", "circle"]
    assert found.maps.shape[:2] == (2, 3)
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

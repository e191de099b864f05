import pytest

from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import to_pil
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation.sample_pictures import photograph, scene_picture


def test_scenes_are_those_of_the_test_split():
    assert scene_picture(5).tobytes() == to_pil(ShapeScenes(split="test").images([5]))[0].tobytes()


def test_photographs_are_square_and_others_refused():
    assert photograph("coffee", side=40).size == (40, 40)
    with pytest.raises(RequestError, match="there is no photograph 'tea'; choose one of astronaut"):
        photograph("tea")

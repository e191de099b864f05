"""What is painted becomes the mask, whatever its colour; what cannot be one is said in a sentence."""

import io

import numpy as np
import pytest
from PIL import Image

from apps.studio.canvas import picture_and_mask
from ldm_lab.core.errors import ImageError, RequestError

SIZE = (12, 8)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8))


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def layer(box, size=SIZE, alpha=255, color=(255, 255, 255)):
    image = Image.new("RGBA", size)
    image.paste((*color, alpha), box)
    return png(image)


def drawn(*layers):
    return {"background": png(PICTURE), "layers": list(layers), "composite": b"never looked at"}


def test_the_background_comes_through_unchanged_and_the_alpha_is_the_mask():
    picture, mask = picture_and_mask(drawn(layer((2, 1, 5, 6), color=(0, 0, 0), alpha=1)), None)
    assert picture.image.tobytes() == PICTURE.tobytes()
    assert mask.image.getbbox() == (2, 1, 5, 6)
    assert set(mask.pixels) == {0, 255}


def test_all_layers_count():
    mask = picture_and_mask(drawn(layer((0, 0, 1, 1)), None, layer((11, 7, 12, 8))), None)[1]
    assert mask.image.getbbox() == (0, 0, 12, 8)
    assert sum(map(bool, mask.pixels)) == 2


def test_an_uploaded_mask_takes_the_place_of_what_is_painted():
    uploaded = Image.new("L", SIZE)
    uploaded.paste(255, (3, 3, 4, 4))
    assert picture_and_mask(drawn(layer((0, 0, 9, 1))), png(uploaded))[1].image.getbbox() == (3, 3, 4, 4)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        (None, RequestError, "there is no picture"),
        ({"background": None, "layers": [], "composite": None}, RequestError, "there is no picture"),
        (drawn(), RequestError, "nothing is painted over"),
        (drawn(layer((0, 0, 0, 0))), RequestError, "nothing is painted over"),
        (drawn(layer((0, 0, 4, 4), size=(13, 8))), ImageError, "the mask has 13 x 8 pixels, the picture 12 x 8"),
        (drawn(b"no picture"), ImageError, "the image is not a picture in a known format"),
        ({"background": b"<svg/>", "layers": []}, ImageError, "not a picture in a known format"),
    ],
)
def test_mistakes_are_sentences(given, error, sentence):
    with pytest.raises(error, match=sentence):
        picture_and_mask(given, None)

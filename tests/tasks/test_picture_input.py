"""Pictures as settings: whatever they come from, they are one value, also after JSON."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ImageError
from ldm_lab.core.images import to_tensor
from ldm_lab.tasks import picture_input
from ldm_lab.tasks.picture_input import PREFIX, MaskPicture, Picture

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
PICTURE = Picture.of(PIXELS)


def png(pixels=PIXELS) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_every_source_gives_the_same_value(tmp_path):
    (tmp_path / "x.png").write_bytes(png())
    image = Image.fromarray(PIXELS)
    x = to_tensor(image)
    sources = (tmp_path / "x.png", str(tmp_path / "x.png"), png(), io.BytesIO(png()), image, PIXELS, x, x[0], PICTURE)
    found = {Picture.of(source) for source in sources}
    assert found == {PICTURE}
    assert (PICTURE.size, PICTURE.pixels) == ((7, 5), PIXELS.tobytes())


def test_grey_and_transparent_arrays_follow_the_image_contract():
    grey = Picture.of(PIXELS[..., 0])
    assert np.array_equal(np.asarray(grey.image), np.repeat(PIXELS[..., :1], 3, axis=-1))
    clear = Picture.of(np.dstack([PIXELS, np.zeros((5, 7), np.uint8)]))
    assert set(clear.pixels) == {255}


def test_another_pixel_is_another_picture():
    changed = PIXELS.copy()
    changed[4, 6, 2] ^= 1
    assert Picture.of(changed) != PICTURE
    assert Picture.of(PIXELS[:, ::-1].copy()) != PICTURE
    assert repr(Picture.of(changed)) != repr(PICTURE)
    assert Picture.of(PIXELS.reshape(7, 5, 3)) != PICTURE


def test_json_gives_it_back():
    text = json.loads(json.dumps(PICTURE.to_json()))
    assert text.startswith(PREFIX)
    assert Picture.from_json(text) == PICTURE
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(text[len(PREFIX) :])))), PIXELS)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/etc/passwd", "begins with 'data:image/png;base64,', this one is '/etc/passwd'"),
        (None, "this one is None"),
        (["x"] * 999, "this one is \\['x'"),
        (PREFIX + "§", "damaged"),
        (PREFIX, "is empty"),
        (PREFIX + base64.b64encode(b"hello").decode(), "is not a picture"),
        (PREFIX + base64.b64encode(png()[:-30]).decode(), "truncated or damaged"),
    ],
)
def test_other_json_is_refused(value, message):
    with pytest.raises(ImageError, match=message) as caught:
        Picture.from_json(value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "cannot be made of 3; give a path"),
        (None, "cannot be made of None"),
        ([[0]], r"cannot be made of \[\[0\]\]"),
        (PIXELS.astype(np.float32), r"float32 array of shape \(5, 7, 3\); expected uint8"),
        (PIXELS[..., :2], r"uint8 array of shape \(5, 7, 2\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
        (torch.zeros(5, 7, 3), r"torch.float32 tensor of shape \(5, 7, 3\); expected float in \[-1, 1\]"),
        (torch.zeros(2, 3, 4, 4), r"shape \(2, 3, 4, 4\)"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "torch.uint8 tensor"),
        (torch.full((3, 2, 2), 255.0), "from 255 to 255; expected -1 to 1"),
        (torch.full((3, 2, 2), float("nan")), "from nan to nan"),
        ("none.png", "'none.png' cannot be read"),
        (Image.new("RGB", (5000, 1)), "5000 x 1 pixels; at most 4096"),
    ],
)
def test_what_is_no_picture_is_named(source, message):
    with pytest.raises(ImageError, match=message):
        Picture.of(source)


def test_the_tensor_is_what_the_networks_see():
    assert torch.equal(PICTURE.tensor(), to_tensor(PICTURE.image))
    assert PICTURE.tensor().shape == (1, 3, 5, 7)


class TestFitted:
    def test_the_same_size_changes_nothing(self):
        assert PICTURE.fitted(7, 5) is PICTURE

    def test_a_flat_colour_stays_flat(self):
        fitted = Picture.of(Image.new("RGB", (30, 20), (9, 8, 7))).fitted(8, 8)
        assert fitted == Picture.of(Image.new("RGB", (8, 8), (9, 8, 7)))

    def test_what_stands_over_is_cut_off_evenly(self):
        thirds = np.zeros((10, 30, 3), np.uint8)
        thirds[:, 10:20] = 200
        assert Picture.of(thirds).fitted(10, 10) == Picture.of(thirds[:, 10:20].copy())
        assert Picture.of(thirds.transpose(1, 0, 2).copy()).fitted(10, 10) == Picture.of(thirds[:, 10:20].copy())

    def test_a_picture_too_large_for_a_record_is_refused(self, monkeypatch):
        monkeypatch.setattr(picture_input, "MAX_PNG_BYTES", 100)
        with pytest.raises(ImageError, match=r"7 x 5 pixels has \d+ bytes as PNG; at most 100 are accepted"):
            PICTURE.fitted(7, 5)

    @pytest.mark.parametrize("size", [(1, 4096), (4096, 1), (1, 1), (300, 200)])
    def test_no_png_is_larger_than_its_bound(self, size):
        """Noise cannot be compressed."""
        noise = Picture.of(np.random.default_rng(2).integers(0, 256, (*size, 3), dtype=np.uint8))
        assert len(noise.pixels) < len(noise.png()) <= noise.most_png_bytes

    def test_where_no_png_can_be_too_large_none_is_made(self, monkeypatch):
        monkeypatch.setattr(Picture, "png", None)
        assert PICTURE.fitted(14, 10).size == (14, 10)


class TestMaskPicture:
    HOLE = np.random.default_rng(1).random((5, 7)) > 0.5
    MASK = MaskPicture.of(HOLE)

    def test_every_source_gives_the_same_value(self, tmp_path):
        grey = Image.fromarray(np.where(self.HOLE, 130, 120).astype(np.uint8))
        grey.save(tmp_path / "m.png")
        clear = Image.fromarray(
            np.dstack([np.full((5, 7, 3), 255, np.uint8), np.where(self.HOLE, 255, 0).astype("u1")])
        )
        tensor = torch.from_numpy(self.HOLE).float()
        sources = (tmp_path / "m.png", grey, grey.convert("RGB"), clear, tensor, tensor[None], self.HOLE[..., None])
        assert {MaskPicture.of(source) for source in sources} == {self.MASK}
        assert self.MASK.pixels == (self.HOLE * 255).astype(np.uint8).tobytes()

    def test_one_is_repaint(self):
        assert torch.equal(self.MASK.tensor(), torch.from_numpy(self.HOLE).float()[None, None])
        assert self.MASK.share == self.HOLE.mean()

    def test_json_gives_it_back(self):
        assert MaskPicture.from_json(json.loads(json.dumps(self.MASK.to_json()))) == self.MASK
        assert repr(self.MASK).startswith("MaskPicture(7 x 5, ")

    def test_fitted_it_is_still_black_and_white(self):
        fitted = self.MASK.fitted(20, 20)
        assert fitted.size == (20, 20)
        assert set(fitted.pixels) == {0, 255}

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (np.full((2, 2), 2.0), "float values from 2 to 2"),
            (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
            (7, "cannot be made of 7"),
        ],
    )
    def test_what_is_no_mask_is_named(self, source, message):
        with pytest.raises(ImageError, match=message):
            MaskPicture.of(source)

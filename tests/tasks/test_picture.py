import json
import pickle
from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ldm_lab.core.errors import ImageError
from ldm_lab.tasks.picture import KEY, MAX_CHARACTERS, RunImage, read_record

RECORD = {"prompt": "ein roter Kreis, ☺ & <b>", "seeds": [1, 2], "scale": 4.0}


@pytest.fixture
def plain():
    image = Image.effect_noise((20, 10), 50).convert("RGB")
    image.putpixel((3, 4), (1, 2, 3))
    return image


def save_text(path, text, *, zip=False):
    pnginfo = PngInfo()
    pnginfo.add_itxt(KEY, text, zip=zip)
    Image.new("RGB", (4, 4)).save(path, pnginfo=pnginfo)
    return path


def test_a_plain_save_keeps_pixels_and_record(plain, tmp_path):
    RunImage.of(plain, RECORD).save(tmp_path / "x.png")
    image, record = read_record(tmp_path / "x.png")
    assert record == RECORD
    assert image.tobytes() == plain.tobytes()
    assert image.mode == "RGB"


def test_it_is_an_image_like_any_other(plain):
    picture = RunImage.of(plain, RECORD)
    assert isinstance(picture, Image.Image)
    assert (picture.size, picture.mode, picture.tobytes()) == (plain.size, plain.mode, plain.tobytes())
    assert picture.resize((5, 5)).tobytes() == plain.resize((5, 5)).tobytes()


def test_the_original_is_not_touched(plain, tmp_path):
    picture = RunImage.of(plain, RECORD)
    picture.putpixel((0, 0), (9, 9, 9))
    assert plain.info == {}
    assert plain.getpixel((0, 0)) != (9, 9, 9)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP"])
def test_other_formats_work_and_only_png_carries_the_record(plain, tmp_path, format):
    path = tmp_path / f"x.{format.lower()}"
    RunImage.of(plain, RECORD).save(path, format)
    if format == "PNG":
        assert read_record(path)[1] == RECORD
    else:
        with pytest.raises(ImageError, match="carries no settings"):
            read_record(path)


def test_saving_into_a_buffer_and_showing_in_a_notebook_keep_the_record(plain, tmp_path):
    picture, buffer = RunImage.of(plain, RECORD), BytesIO()
    picture.save(buffer, format="PNG")
    for data in (buffer.getvalue(), picture._repr_png_()):
        (tmp_path / "x.png").write_bytes(data)
        assert read_record(tmp_path / "x.png")[1] == RECORD


def test_pickling_keeps_the_record_and_an_edited_copy_has_none(plain, tmp_path):
    picture = pickle.loads(pickle.dumps(RunImage.of(plain, RECORD)))
    picture.save(tmp_path / "x.png")
    assert read_record(tmp_path / "x.png")[1] == RECORD
    picture.rotate(90).save(tmp_path / "y.png")
    with pytest.raises(ImageError, match="y.png carries no settings"):
        read_record(tmp_path / "y.png")


def test_options_of_save_still_work(plain, tmp_path):
    other = PngInfo()
    other.add_text("mine", "yes")
    RunImage.of(plain, RECORD).save(tmp_path / "x.png", pnginfo=other, compress_level=0)
    with Image.open(tmp_path / "x.png") as image:
        assert image.info == {"mine": "yes"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ('{"a": NaN}', "NaN is not a number that JSON knows"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ("[" * 19_000, "nested too deeply|not valid JSON"),
        ("[1]", "are a list, expected a mapping"),
        ("null", "are a NoneType, expected a mapping"),
        ("1" * 40_000, "not valid JSON"),
        ("[" + "[]," * 20_000 + "[]]", "40002 commas and brackets"),
        (json.dumps({"a": "x" * MAX_CHARACTERS}), "at most 8500000 are read"),
    ],
)
def test_hostile_text_is_one_sentence(tmp_path, text, message):
    path = save_text(tmp_path / "x.png", text)
    with pytest.raises(ImageError, match=message) as caught:
        read_record(path)
    assert len(str(caught.value)) < 500


def test_a_text_bomb_is_refused(tmp_path):
    path = save_text(tmp_path / "x.png", "x" * 5_000_000, zip=True)
    assert path.stat().st_size < 20_000
    with pytest.raises(ImageError, match="x.png"):
        read_record(path)


def test_no_picture_no_file(tmp_path):
    (tmp_path / "x.png").write_text("hello")
    with pytest.raises(ImageError, match="x.png is not a picture"):
        read_record(tmp_path / "x.png")
    with pytest.raises(ImageError, match="none.png"):
        read_record(tmp_path / "none.png")

"""The image contract for every task input that is a picture, a mask or a map: right pixels, or one clear sentence.

Every source goes through the settings of a task, as from Python, the command line or the web page. What
``read_image`` makes of files is tested in ``tests/core/test_images.py``; here nothing may get around it.
"""

import contextlib
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ImageError, LdmLabError
from ldm_lab.tasks import TASKS, MapPicture, MaskPicture, Picture, Pipeline
from ldm_lab.tasks.settings import picture_fields

WIDTH, HEIGHT = 12, 8
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([X * 20, Y * 30, X * 10 + Y * 15], axis=-1).astype(np.uint8)  # no flip or turn of it equals another
GREY = RGB[..., 2]
ALPHA = (255 - X * 15 - Y * 5).astype(np.uint8)
HOLE = (X < 5) & (Y < 3)
NUMBERS = (X // 4 + 3 * (Y // 4)).astype(np.uint8)  # classes 0 to 5

pytestmark = pytest.mark.filterwarnings("ignore:.*(EXIF|Image size|several frames).*")

SOUND = {Picture: Image.fromarray(RGB), MaskPicture: HOLE}
INPUTS = [(name, field, kind) for name, task in TASKS.items() for field, kind in picture_fields(task.settings).items()]


def encode(image: Image.Image | np.ndarray, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, format, **options)
    return buffer.getvalue()


def asked(name: str, field: str, source):
    """Settings of a task with one input from ``source`` and those that it needs beside it sound."""
    needed = {"inpainting": {"image": SOUND[Picture], "mask": SOUND[MaskPicture]}, "outpainting": {"right": 4}}
    return TASKS[name].settings.of(**(needed.get(name, {}) | {field: source}))


def values(picture: Picture) -> np.ndarray:
    return np.asarray(picture.image)


def flat(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.round(rgb * share + 255 * (1 - share))


def palette(transparency: int | None = None) -> bytes:
    """NUMBERS as indices; number n has the colour (40 n, 10, 200)."""
    image = Image.new("P", (WIDTH, HEIGHT))
    image.putdata(NUMBERS.ravel().tolist())
    image.putpalette([part for n in range(6) for part in (40 * n, 10, 200)])
    return encode(image, **({} if transparency is None else {"transparency": transparency}))


def turned(image: np.ndarray, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, exif=exif)


def chunks(*parts: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def bomb(side: int) -> bytes:
    """A PNG of a few bytes whose header claims a huge picture."""
    header = b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return chunks(header, (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b""))


def shallow(depth: int) -> bytes:
    """A grey PNG of 8 x 2 pixels with fewer than 8 bits each, all of value 1."""
    row = b"\0" + bytes([int(format(1, f"0{depth}b") * (8 // depth), 2)]) * depth
    header = b"IHDR", struct.pack(">IIBBBBB", 8, 2, depth, 0, 0, 0, 0)
    return chunks(header, (b"IDAT", zlib.compress(row * 2)), (b"IEND", b""))


def animation(format: str, image: np.ndarray) -> bytes:
    frames = [Image.fromarray(image), Image.fromarray(image[::-1].copy())]
    options = {"lossless": True} if format == "WEBP" else {}
    return encode(frames[0], format, save_all=True, append_images=frames[1:], **options)


UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}

# --- what every input refuses ----------------------------------------------------------------------------------------

WHOLE = encode(np.random.default_rng(0).integers(0, 6, (64, 64), dtype=np.uint8))
REFUSED = {
    "no bytes": (b"", "the image is empty"),
    "one byte": (b"\0", "is not a picture in a known format"),
    "text": (b"a picture, honestly", "is not a picture in a known format; use PNG, JPEG"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a picture in a known format"),
    **{f"cut at {n} tenths": (WHOLE[: len(WHOLE) * n // 10], "damaged|known format") for n in range(1, 10)},
    "bomb": (bomb(20_000), "20000|decompression"),
    "65535 squared": (bomb(65_535), "65535|decompression"),
    "too wide": (encode(np.zeros((1, 4097), np.uint8)), "4097 x 1 pixels; at most 4096 a side"),
    "too wide in memory": (Image.new("L", (4097, 1)), "4097 x 1 pixels; at most 4096 a side"),
    "too large as an array": (np.zeros((4097, 2), np.uint8), "2 x 4097 pixels; at most 4096 a side"),
    "without pixels": (Image.new("L", (0, 0)), "0 x 0 pixels; it must have at least one"),
    "empty array": (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)|4 x 0 pixels"),
    "empty tensor": (torch.zeros(3, 0, 4), r"\(3, 0, 4\)"),
    "NaN in an array": (np.full((8, 8), np.nan, np.float32), "nan|float32"),
    "NaN in a tensor": (torch.full((1, 3, 8, 8), float("nan")), r"nan|\(1, 3, 8, 8\)"),
    "NaN in a file": (encode(np.full((8, 8), np.nan, np.float32), "TIFF"), "nan|mode F"),
    "words": (np.array([["a"]], dtype=object), "object"),
    "a number": (7, "cannot be made of 7; give a path"),
    "a list": ([[0, 1]], r"cannot be made of \[\[0, 1\]\]"),
    "no such file": ("no-such-file.png", "'no-such-file.png' cannot be read"),
    "NUL in the name": ("a\0.png", "cannot be read"),
    "a folder": ("/", "'?/'? is not a file|cannot be read"),
    "a file of text": (io.StringIO("abc"), "is open as text; open it with mode 'rb'"),
}


@pytest.mark.parametrize(("name", "field", "kind"), INPUTS)
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_picture_is_one_sentence(name, field, kind, case):
    source, message = REFUSED[case]
    with pytest.raises(ImageError, match=message) as caught:
        asked(name, field, source)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [Picture, MaskPicture, MapPicture])
def test_files_that_are_closed_or_cut_behind_an_open_image_are_refused(kind):
    closed = io.BytesIO(WHOLE)
    closed.close()
    with pytest.raises(ImageError, match="the image cannot be read: .* closed file"):
        kind.of(closed)
    with pytest.raises(ImageError, match="truncated or damaged"):
        kind.of(Image.open(io.BytesIO(WHOLE[: len(WHOLE) // 2])))


@pytest.mark.parametrize("kind", [Picture, MaskPicture, MapPicture])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_damaged_bytes_give_a_picture_or_one_sentence(kind, format):
    """Forty files with three wrong bytes each."""
    whole, rng = encode(GREY, format), np.random.default_rng(1)
    for _ in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(0, 256)
        with contextlib.suppress(ImageError), warnings.catch_warnings(action="ignore"):
            assert min(kind.of(bytes(damaged)).size) > 0


# --- pictures --------------------------------------------------------------------------------------------------------

DEEP = GREY.astype(np.uint16) * 257
PICTURES = {
    "1": (encode(HOLE), flat(HOLE * 255)),
    "L": (encode(GREY), flat(GREY)),
    "LA": (encode(np.dstack([GREY, ALPHA])), on_white(flat(GREY), ALPHA)),
    "P": (palette(), np.dstack([NUMBERS * 40, np.full_like(GREY, 10), np.full_like(GREY, 200)])),
    "P with transparency": (
        palette(2),
        np.where((NUMBERS == 2)[..., None], 255, np.dstack([NUMBERS * 40, GREY * 0 + 10, GREY * 0 + 200])),
    ),
    "RGB": (encode(RGB), RGB),
    "RGBA": (encode(np.dstack([RGB, ALPHA])), on_white(RGB, ALPHA)),
    "CMYK": (encode(Image.fromarray(np.dstack([RGB, GREY * 0]), "CMYK"), "TIFF"), 255 - RGB),
    "I;16": (encode(DEEP), flat(GREY)),
    "I": (encode(DEEP.astype(np.int32), "TIFF"), flat(GREY)),
    "F": (encode((GREY / 255).astype(np.float32), "TIFF"), flat(GREY)),
    "YCbCr": (Image.fromarray(RGB).convert("YCbCr"), RGB),
    "LAB": (Image.fromarray(np.dstack([GREY * 0 + 255, GREY * 0, GREY * 0]), "LAB"), GREY[..., None] * 0 + [255] * 3),
    "GIF, first of two": (animation("GIF", GREY), flat(GREY)),
    "WebP, first of two": (animation("WEBP", RGB), RGB),
    "bf16 tensor": (torch.from_numpy(flat(HOLE * 255) / 127.5 - 1).permute(2, 0, 1).bfloat16(), flat(HOLE * 255)),
    "tensor that learns": (torch.zeros(3, HEIGHT, WIDTH, requires_grad=True), flat(GREY * 0 + 128)),
    "view that runs backwards": (RGB[:, ::-1], RGB[:, ::-1]),
}


@pytest.mark.parametrize("case", PICTURES)
def test_pictures_of_every_mode_are_the_right_pixels(case):
    source, expected = PICTURES[case]
    found = values(asked("image_to_image", "image", source).image)
    assert found.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(found.astype(int) - expected).max() <= (3 if case == "YCbCr" else 1)  # there and back in 8 bits


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("kind", "stored", "expected"),
    [(Picture, RGB, RGB), (MaskPicture, (HOLE * 255).astype(np.uint8), HOLE * 255), (MapPicture, NUMBERS, NUMBERS)],
)
def test_picture_mask_and_map_are_turned_alike(kind, stored, expected, orientation):
    """A mask that is not turned with its picture would repaint another place."""
    data = turned(stored, orientation)
    assert np.array_equal(values(kind.of(data)), UPRIGHT[orientation](expected))
    assert kind.of(Image.open(io.BytesIO(data))) == kind.of(data)


# --- masks -----------------------------------------------------------------------------------------------------------

WHITE = (HOLE * 255).astype(np.uint8)
MASKS = {
    "1": encode(HOLE),
    "L": encode(WHITE),
    "LA": encode(np.dstack([np.full_like(WHITE, 255), WHITE])),
    "P": encode(Image.fromarray(WHITE).convert("P")),
    "RGB": encode(flat(WHITE)),
    "RGBA": encode(np.dstack([np.full_like(RGB, 255), WHITE])),
    "CMYK": encode(Image.fromarray(np.dstack([GREY * 0] * 3 + [255 - WHITE]), "CMYK"), "TIFF"),
    "I;16": encode(WHITE.astype(np.uint16) * 257),
    "I": encode(WHITE.astype(np.int32) * 257, "TIFF"),
    "F": encode(HOLE.astype(np.float32), "TIFF"),
    "YCbCr": Image.fromarray(flat(WHITE)).convert("YCbCr"),
    "LAB": Image.fromarray(np.dstack([WHITE, GREY * 0, GREY * 0]), "LAB"),
    "JPEG": encode(WHITE, "JPEG", quality=95),
    "GIF, first of two": animation("GIF", WHITE),
    "WebP, first of two": animation("WEBP", flat(WHITE)),
    "booleans": HOLE,
    "bf16 tensor": torch.from_numpy(HOLE).bfloat16(),
    "fp16 array": HOLE.astype(np.float16),
    "view that runs backwards": HOLE[:, ::-1][:, ::-1],
}


@pytest.mark.parametrize("case", MASKS)
def test_masks_of_every_mode_are_the_right_places(case):
    settings = asked("inpainting", "mask", MASKS[case])
    assert np.array_equal(values(settings.mask), HOLE * 255)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((HEIGHT, WIDTH), np.nan), "float values from nan to nan"),
        (NUMBERS.astype(np.int64), "values of type int64"),
        (HOLE.astype(np.uint8), "no value above 1, where 255 means repaint"),
        (encode(HOLE.astype(np.uint8)), "no value above 1"),
        (HOLE.T, "the mask has 8 x 12 pixels, the image 12 x 8; make them the same size"),
        (np.zeros((2, HEIGHT, WIDTH)), r"shape \(2, 8, 12\)"),
    ],
)
def test_masks_that_could_be_misread_are_refused(mask, message):
    with pytest.raises(ImageError, match=message):
        asked("inpainting", "mask", mask)


# --- maps ------------------------------------------------------------------------------------------------------------

MAPS = {
    "1": (encode(HOLE), HOLE),
    "L": (encode(NUMBERS), NUMBERS),
    "P": (palette(), NUMBERS),
    "P with transparency": (palette(2), NUMBERS),
    "BMP": (encode(NUMBERS, "BMP"), NUMBERS),
    "TIFF": (encode(NUMBERS, "TIFF"), NUMBERS),
    "GIF, first of two": (animation("GIF", NUMBERS), NUMBERS),
    "int64 tensor": (torch.from_numpy(NUMBERS).long(), NUMBERS),
    "view that runs backwards": (NUMBERS[:, ::-1], NUMBERS[:, ::-1]),
}


@pytest.mark.parametrize("case", MAPS)
def test_maps_keep_their_numbers(case):
    source, expected = MAPS[case]
    assert np.array_equal(values(asked("semantic_to_image", "map", source).map), expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        *((encode(Image.new(mode, (4, 4)), "TIFF"), f"mode {mode}; save") for mode in ("RGB", "RGBA", "CMYK", "LA")),
        (encode(DEEP), "mode I;16; save the numbers of the classes as grey values of 8 bits"),
        (encode(NUMBERS.astype(np.int32), "TIFF"), "mode I; save"),
        (encode(NUMBERS.astype(np.float32), "TIFF"), "mode F; save"),
        (encode(NUMBERS, "JPEG"), "is a JPEG file, which does not keep the numbers of a semantic map; save it as PNG"),
        (encode(NUMBERS, "WEBP"), "is a WEBP file, which does not keep the numbers"),
        (Image.open(io.BytesIO(encode(NUMBERS, "JPEG"))), "is a JPEG file"),
        *((shallow(depth), "has grey values of fewer than 8 bits; save the numbers with 8 bits") for depth in (2, 4)),
        (torch.zeros(4, 4, dtype=torch.bfloat16), r"a semantic map is float32 of shape \(4, 4\); expected integers"),
        (NUMBERS.astype(np.int64) - 1, "numbers from -1 to 4; expected 0 to 255"),
    ],
)
def test_maps_whose_numbers_are_not_kept_are_refused(source, message):
    with pytest.raises(ImageError, match=message):
        asked("semantic_to_image", "map", source)


# --- sizes that no network has seen ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 4096), (4096, 1), (7, 7)])
@pytest.mark.parametrize("kind", [Picture, MaskPicture, MapPicture])
def test_any_size_is_read_and_fitted(kind, size):
    picture = kind.of(Image.new("L", size, 255))
    assert picture.size == size
    fitted = picture.fitted(16, 16)
    assert fitted.size == (16, 16)
    assert set(fitted.pixels) == {255}


@pytest.mark.parametrize(
    ("size", "side"), [((1, 1), "width is 1"), ((16, 7), "height is 7"), ((4096, 4), "width is 4096")]
)
def test_sizes_that_the_network_cannot_take_are_named(tiny_model, size, side):
    """Either as the picture comes, or because it is beyond what a task makes."""
    with pytest.raises(LdmLabError, match=f"{side}; it must be"):
        Pipeline(tiny_model).image_to_image(Image.new("RGB", size), num_steps=1)

"""Pictures: exact scaling both ways, and the contract of ``read_image`` on genuine, damaged and hostile files."""

import contextlib
import io
import os
import struct
import time
import warnings
import zipfile
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ldm_lab.core.errors import ImageError, ShapeError
from ldm_lab.core.images import GUTTER, grid, read_image, save_png, strip, to_pil, to_tensor, to_uint8

WIDTH, HEIGHT = 12, 8


def picture(channels: int = 3) -> np.ndarray:
    """A smooth picture without symmetry, so that no flip or turn of it equals another."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [x * 20, y * 30, x * 10 + y * 15, 255 - x * 15 - y * 5]
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


def encode(image: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(data) -> np.ndarray:
    image = read_image(data)
    assert image.mode == "RGB"
    assert not image.info
    assert not image.getexif()
    return np.asarray(image)


def assert_near(actual: np.ndarray, expected: np.ndarray, *, levels: int = 1) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual.astype(int) - expected.astype(int)).max() <= levels


pytestmark = pytest.mark.filterwarnings("ignore:.*(EXIF|Image size|Tag data).*")  # Pillow speaks before it refuses

RGB = picture()
GOOD_PNG = encode(Image.fromarray(RGB))

# --- tensors ---------------------------------------------------------------------------------------------------------


def test_every_byte_survives_the_round_trip():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    x = to_tensor(every)
    assert (x.min(), x.max(), x.dtype, tuple(x.shape)) == (-1.0, 1.0, torch.float32, (1, 3, 16, 16))
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(to_uint8(x.to(dtype)), every)


def test_channels_rows_and_columns_keep_their_places():
    x = to_tensor(Image.fromarray(RGB))
    assert tuple(x.shape) == (1, 3, HEIGHT, WIDTH)
    assert x[0, 1, 5, 7].item() == pytest.approx(RGB[5, 7, 1] / 127.5 - 1)
    assert np.array_equal(np.asarray(to_pil(x)[0]), RGB)


@pytest.mark.parametrize("kind", [Image.fromarray, np.asarray, torch.from_numpy])
def test_every_kind_of_picture_gives_the_same_tensor(kind):
    torch.testing.assert_close(to_tensor(kind(RGB)), to_tensor([Image.fromarray(RGB)]), rtol=0, atol=0)


def test_the_input_is_not_shared():
    source = RGB.copy()
    x = to_tensor(source)
    source[:] = 0
    assert x.abs().sum() > 0
    assert np.array_equal(np.asarray(to_pil(x)[0]), RGB)


@given(st.floats(-1e30, 1e30))
def test_values_outside_are_clamped(value):
    level = to_uint8(torch.full((1, 3, 1, 1), value))[0, 0, 0, 0].item()
    assert abs(level - (min(1, max(-1, value)) + 1) * 127.5) <= 0.5001


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_no_picture_is_made_from_non_finite_values(bad):
    x = torch.zeros(2, 3, 4, 4)
    x[1, 2, 3, 3] = bad
    with pytest.raises(ImageError, match="1 of 96 values are NaN or infinite"):
        to_pil(x)


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 4, 4, 4), (1, 4, 4, 3)])
def test_tensors_of_another_shape_are_named(shape):
    with pytest.raises(
        ShapeError, match=rf"images have shape \({', '.join(map(str, shape))}\); expected \(B, 3, H, W\)"
    ):
        to_uint8(torch.zeros(shape))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "no image was given"),
        (Image.new("RGBA", (4, 4)), "an image has mode RGBA; convert it to RGB"),
        ([Image.new("RGB", (4, 4)), Image.new("RGB", (6, 4))], "images differ in size: 4 x 4 and 6 x 4"),
        (np.zeros((4, 4, 3)), r"pixels are float64 of shape \(1, 4, 4, 3\); expected uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"pixels are uint8 of shape \(1, 4, 4, 4\); expected uint8 \(B, H, W, 3\)"),
        (np.zeros((4, 4), np.uint8), r"pixels are uint8 of shape \(4, 4\)"),
    ],
)
def test_what_is_no_rgb_picture_is_refused(images, message):
    with pytest.raises(ImageError, match=message):
        to_tensor(images)


# --- sheets ----------------------------------------------------------------------------------------------------------


def test_a_grid_puts_every_image_in_its_cell():
    images = [Image.new("RGB", (3, 2), (index, 0, 0)) for index in range(5)]
    sheet = np.asarray(grid(images, columns=2, padding=1))
    assert sheet.shape == (3 * 3 + 1, 2 * 4 + 1, 3)
    for index in range(5):
        row, column = divmod(index, 2)
        cell = sheet[1 + 3 * row : 3 + 3 * row, 1 + 4 * column : 4 + 4 * column]
        assert (cell == (index, 0, 0)).all()
    assert (sheet[0] == GUTTER).all()
    assert (sheet[-3:, 5:] == GUTTER).all()


def test_a_single_image_has_no_margin():
    image = Image.new("RGB", (3, 2), (7, 8, 9))
    assert grid([image]).tobytes() == image.tobytes()


@pytest.mark.parametrize(("count", "size"), [(1, (4, 4)), (4, (8, 8)), (5, (12, 8)), (16, (16, 16))])
def test_a_grid_is_about_square(count, size):
    assert grid([Image.new("RGB", (4, 4))] * count, padding=0).size == size


def test_a_strip_is_one_row():
    assert strip([Image.new("RGB", (4, 4))] * 7, padding=2).size == (7 * 6 + 2, 8)


def test_a_saved_png_is_the_picture(tmp_path):
    save_png(tmp_path / "sheets" / "a.png", Image.fromarray(RGB))
    assert np.array_equal(pixels(tmp_path / "sheets" / "a.png"), RGB)


# --- genuine files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_the_exact_pixels(format):
    options = {"lossless": True} if format == "WEBP" else {}
    assert np.array_equal(pixels(encode(Image.fromarray(RGB), format, **options)), RGB)


def test_lossy_jpeg_is_near():
    assert_near(pixels(encode(Image.fromarray(RGB), "JPEG", quality=100, subsampling=0)), RGB, levels=4)


def test_path_bytes_and_file_are_the_same(tmp_path):
    path = tmp_path / "émoji 🙂.png"
    path.write_bytes(GOOD_PNG)
    with open(path, "rb") as file:
        for source in (path, str(path), GOOD_PNG, file, io.BytesIO(GOOD_PNG)):
            assert np.array_equal(pixels(source), RGB)


def test_what_pil_has_opened_is_held_to_the_same_limits_and_not_changed():
    image = Image.fromarray(GREY)
    assert pixels(image).shape == (HEIGHT, WIDTH, 3)
    assert image.mode == "L"
    with pytest.raises(ImageError, match="4097 x 1 pixels"):
        read_image(Image.new("RGB", (4097, 1)))
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(Image.open(io.BytesIO(GOOD_PNG[:-40])))


def flat(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1).astype(np.uint8)


def over(rgb: np.ndarray, alpha: np.ndarray, background=(255, 255, 255)) -> np.ndarray:
    weight = alpha[..., None] / 255
    return np.round(rgb * weight + np.asarray(background) * (1 - weight)).astype(np.uint8)


GREY = picture(1)[..., 0]
ALPHA = picture(4)[..., 3]
WIDE = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)


def palette_image(transparency: int | None) -> tuple[bytes, np.ndarray]:
    image = Image.fromarray(RGB).quantize(16)
    indices = np.asarray(image)
    colours = np.asarray(image.getpalette()[: 3 * 16]).reshape(-1, 3)[indices].astype(np.uint8)
    options = {} if transparency is None else {"transparency": transparency}
    expected = colours if transparency is None else np.where((indices == transparency)[..., None], 255, colours)
    return encode(image, **options), expected


def cmyk_reference() -> np.ndarray:
    ink = picture(4).astype(float)
    return np.clip((255 - ink[..., 3:]) * (1 - ink[..., :3] / 255), 0, 255).round()


def lab_reference(lab: np.ndarray) -> np.ndarray:
    """CIELAB under D50 to sRGB: CIE 15, the Bradford-adapted matrix, and the transfer curve of IEC 61966-2-1."""
    lightness, a, b = lab[..., 0] / 2.55, lab[..., 1] - 128.0, lab[..., 2] - 128.0
    f = np.stack([(lightness + 16) / 116 + a / 500, (lightness + 16) / 116, (lightness + 16) / 116 - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.9642, 1.0, 0.8249)
    to_linear = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = np.clip(xyz @ np.transpose(to_linear), 0, 1)
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear) * 255


def ycbcr_reference(ycbcr: np.ndarray) -> np.ndarray:
    """Full-range BT.601, as in the JFIF specification."""
    y, cb, cr = (ycbcr[..., i].astype(float) for i in range(3))
    rgb = np.stack(
        [y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)], -1
    )
    return np.clip(rgb, 0, 255).round()


def lab_colours() -> np.ndarray:
    """Colours inside the sRGB gamut, where no clipping policy matters."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([110 + 8 * y, 122 + x, 134 - x], axis=-1).astype(np.uint8)


def lab_image(lab: np.ndarray) -> Image.Image:
    return Image.fromarray(
        lab ^ np.array([0, 128, 128], np.uint8), "LAB"
    )  # as in TIFF, a and b are signed in raw bytes


def modes() -> dict[str, tuple[bytes, np.ndarray]]:
    bilevel = GREY > 100
    return {
        "1": (encode(Image.fromarray(bilevel)), flat(bilevel * 255)),
        "L": (encode(Image.fromarray(GREY)), flat(GREY)),
        "LA": (encode(Image.fromarray(np.dstack([GREY, ALPHA]))), over(flat(GREY), ALPHA)),
        "P": palette_image(None),
        "P+tRNS": palette_image(3),
        "RGB": (GOOD_PNG, RGB),
        "RGBA": (encode(Image.fromarray(np.dstack([RGB, ALPHA]))), over(RGB, ALPHA)),
        "I;16": (encode(Image.fromarray(WIDE.astype(np.uint16))), flat(np.round(WIDE / 257))),
        "I": (encode(Image.fromarray(WIDE.astype(np.int32)), "TIFF"), flat(np.round(WIDE / 257))),
        "F": (encode(Image.fromarray((WIDE / 65535).astype(np.float32)), "TIFF"), flat(np.round(WIDE / 257))),
        "CMYK": (encode(Image.fromarray(picture(4), "CMYK"), "TIFF"), cmyk_reference()),
        "YCbCr": (encode(Image.fromarray(RGB, "YCbCr"), "JPEG", quality=100, subsampling=0), ycbcr_reference(RGB)),
        "LAB": (encode(lab_image(lab_colours()), "TIFF"), lab_reference(lab_colours())),
    }


@pytest.mark.parametrize("mode", modes())
def test_every_mode_becomes_the_right_rgb(mode):
    data, expected = modes()[mode]
    if mode != "YCbCr":  # which is what a JPEG holds, rounded, and Pillow converts it on the way
        assert Image.open(io.BytesIO(data)).mode.startswith(mode.split("+")[0])
    assert_near(pixels(data), expected, levels=4 if mode == "YCbCr" else 1)
    assert np.array_equal(pixels(Image.open(io.BytesIO(data))), pixels(data))  # also where PIL has opened it


def test_sixteen_bits_are_scaled_exactly():
    """Clipping, and dropping the low byte, both fail here."""
    values = np.array([[0, 128, 129, 255, 256, 257, 32896, 65406, 65407, 65535]], np.uint16)
    assert pixels(encode(Image.fromarray(values)))[0, :, 0].tolist() == [0, 0, 1, 1, 1, 1, 128, 254, 255, 255]


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Put a PNG together by hand, for what Pillow does not write."""
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def header(width: int, height: int, *, depth: int = 8, colour: int = 0) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def test_sixteen_bit_grey_keeps_its_transparent_value():
    row = b"\x00" + struct.pack(">4H", 0, 1000, 30000, 65535)
    data = png(
        header(4, 1, depth=16), (b"tRNS", struct.pack(">H", 1000)), (b"IDAT", zlib.compress(row)), (b"IEND", b"")
    )
    assert pixels(data)[0, :, 0].tolist() == [0, 255, 117, 255]


def test_sixteen_bit_colour_is_near():
    row = b"\x00" + struct.pack(">6H", 0, 300, 70 * 257, 65535, 65000, 128 * 257)
    data = png(header(2, 1, depth=16, colour=2), (b"IDAT", zlib.compress(row)), (b"IEND", b""))
    assert_near(pixels(data), np.array([[[0, 1, 70], [255, 253, 128]]]))


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (10, 200, 30)])
def test_transparency_lies_on_the_stated_colour(background):
    data = encode(Image.fromarray(np.dstack([RGB, ALPHA])))
    assert_near(np.asarray(read_image(data, background=background)), over(RGB, ALPHA, background))


TURNS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once_and_dropped(orientation, format):
    """EXIF 2.3, tag 0x0112: which corner of the stored picture is the first row and column of the scene."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}[format]
    data = encode(Image.fromarray(RGB), format, exif=exif, **options)
    assert_near(pixels(data), TURNS[orientation](RGB), levels=4 if format == "JPEG" else 0)
    assert np.array_equal(pixels(Image.open(io.BytesIO(data))), pixels(data))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", os.urandom(60_000)]
)
def test_a_broken_exif_block_says_nothing_about_the_pixels(exif):
    data = encode(Image.fromarray(RGB), "JPEG", quality=100, subsampling=0, exif=exif)
    assert_near(pixels(data), RGB, levels=4)


def test_a_broken_colour_profile_says_nothing_about_the_pixels():
    assert np.array_equal(pixels(encode(Image.fromarray(RGB), icc_profile=b"no profile")), RGB)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame_and_says_so(format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    data = encode(
        frames[0], format, save_all=True, append_images=frames[1:], **({"lossless": True} if format == "WEBP" else {})
    )
    with pytest.warns(UserWarning, match="the image has several frames; the first one is used"):
        image = read_image(data)
    assert (np.asarray(image) == (255, 0, 0)).all()


# --- files that are refused ------------------------------------------------------------------------------------------


def test_a_size_is_refused_before_it_is_decoded():
    """20 kB that would unfold to 169 megapixels; a limit checked after decoding takes seconds and hundreds of MB."""
    scanlines = zlib.compressobj(9)
    body = b"".join(scanlines.compress(bytes(13_001)) for _ in range(13_000)) + scanlines.flush()
    bomb = png(header(13_000, 13_000), (b"IDAT", body), (b"IEND", b""))
    start = time.process_time()
    with pytest.raises(ImageError, match="the image has 13000 x 13000 pixels; at most 4096 a side"):
        read_image(bomb)
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("side", [65_535, 2**31 - 1])
def test_a_header_that_claims_the_impossible_is_refused(side):
    with pytest.raises(ImageError):
        read_image(png(header(side, side), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")))


@pytest.mark.parametrize(
    ("size", "accepted"), [((4096, 1), True), ((4097, 1), False), ((1, 8000), False), ((1, 1), True)]
)
def test_the_longest_side(size, accepted):
    data = encode(Image.new("L", size))
    if accepted:
        assert read_image(data).size == size
    else:
        with pytest.raises(ImageError, match=f"the image has {size[0]} x {size[1]} pixels"):
            read_image(data)


def test_ten_megabytes_are_the_limit(tmp_path):
    padded = GOOD_PNG + bytes(10_000_000 - len(GOOD_PNG))
    assert np.array_equal(pixels(padded), RGB)
    (tmp_path / "big.png").write_bytes(padded + b"\0")
    with pytest.raises(ImageError, match="big.png is larger than 10000000 bytes"):
        read_image(tmp_path / "big.png")
    with pytest.raises(ImageError, match="larger than 10000000 bytes"):
        read_image(io.BytesIO(padded + b"\0"))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_file_is_an_error(format, tenth):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format)
    with pytest.raises(ImageError):
        read_image(data[: len(data) * tenth // 10])


def zip_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "text")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.7\n",
        b"<!doctype html><title>x</title>",
        b"\0",
        b"version https://git-lfs.github.com/spec/v1\n",
        encode(Image.fromarray(RGB), "PPM"),
        encode(Image.fromarray(RGB), "ICO"),
        zip_file(),
    ],
    ids=["svg", "eps", "pdf", "html", "one byte", "lfs", "ppm", "ico", "zip"],
)
def test_other_formats_are_refused(data, tmp_path):
    (tmp_path / "renamed.png").write_bytes(data)
    with pytest.raises(ImageError, match="renamed.png is not a picture in a known format; use PNG, JPEG, WEBP"):
        read_image(tmp_path / "renamed.png")


def test_the_content_decides_not_the_name(tmp_path):
    (tmp_path / "really-a.gif").write_bytes(GOOD_PNG)
    assert np.array_equal(pixels(tmp_path / "really-a.gif"), RGB)
    assert np.array_equal(pixels(GOOD_PNG + zip_file()), RGB)


def test_a_text_chunk_that_unfolds_to_a_bomb_is_refused():
    text = b"k\0\1\0\0\0" + zlib.compress(bytes(50_000_000), 9)
    with pytest.raises(ImageError):
        read_image(GOOD_PNG[:33] + png((b"iTXt", text))[8:] + GOOD_PNG[33:])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((2, 2), 70_000, np.int32), "integer pixels from 70000 to 70000; expected 0 to 65535"),
        (np.full((2, 2), -1, np.int32), "integer pixels from -1 to -1"),
        (np.full((2, 2), 255, np.float32), "float pixels from 255.0 to 255.0; expected 0 to 1"),
        (np.full((2, 2), np.nan, np.float32), "float pixels from nan to nan"),
    ],
)
def test_numbers_whose_scale_is_unknown_are_refused(values, message):
    with pytest.raises(ImageError, match=message):
        read_image(encode(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("name", ["missing.png", "a" * 300, "nul\0.png", "-", "../../nothing.png", "CON"])
def test_a_name_that_leads_nowhere_is_repeated(name, tmp_path):
    with pytest.raises(ImageError, match="cannot be read: "):
        read_image(tmp_path / name)


def test_folders_pipes_and_empty_files_are_refused(tmp_path):
    with pytest.raises(ImageError, match="is not a file"):
        read_image(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match="empty.png is empty"):
        read_image(tmp_path / "empty.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for ever
        with pytest.raises(ImageError, match="pipe.png is not a file"):
            read_image(tmp_path / "pipe.png")


@given(st.data())
def test_damaged_bytes_give_a_picture_or_an_image_error(data):
    format = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]))
    damaged = bytearray(encode(Image.fromarray(RGB), format))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError), warnings.catch_warnings(action="ignore"):
        assert read_image(bytes(damaged)).mode == "RGB"

"""Files that are no honest pictures, sent to the page: the right image or one sentence, and little memory for it.

With LDM_LAB_FULL=1 and -s, as many as docs/acceptance.md says, with the figures printed.
"""

import io
import json
import random
import struct
import time
import zlib

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.apps.wire import call, file_data, interface, leaked, upload, values_of

MAX_GROWTH_MB = 150
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
NAMES = [
    "a.png",
    "../a.png",
    "a.svg",
    "x" * 200 + ".png",
    "-rf.png",
    "CON",
    "a\u202egnp.exe",
    "😀.png",
    "a b.png",
    "a.GIF",
]


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, format, **options)
    return buffer.getvalue()


def of_mode(mode, format="PNG"):
    return encoded(Image.new(mode, (16, 16)), format)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png, kind, data):
    """A PNG with one more chunk after its header."""
    return png[:33] + chunk(kind, data) + png[33:]


PNG = encoded(PIXELS)
FORMATS = {format: encoded(PIXELS, format) for format in ("PNG", "JPEG", "WEBP", "GIF", "BMP")}


def by_hand():
    """One of each kind."""
    frames = [Image.new("RGB", (16, 16), (number % 256, 0, 0)) for number in range(500)]
    return [
        b"",
        b"\0",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!DOCTYPE svg [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><svg>&e;</svg>",
        b"<html><script>alert(1)</script></html>",
        b"%PDF-1.4",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"GIF89a",
        PNG[:16] + (65_535).to_bytes(4, "big") * 2 + PNG[24:],
        PNG[:16] + (2**31 - 1).to_bytes(4, "big") * 2 + PNG[24:],
        encoded(Image.new("1", (13_000, 13_000))),  # 20 kB of 169 million pixels
        with_chunk(PNG, b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(bytes(50_000_000), 9)),
        with_chunk(PNG, b"zTXt", b"parameters\0\0" + zlib.compress(bytes(50_000_000), 9)),
        with_chunk(PNG, b"iCCP", b"profile\0\0" + b"no profile"),
        PNG + b"PK\x03\x04" + bytes(50),
        encoded(Image.new("L", (1, 1))),
        encoded(Image.new("L", (4097, 1))),
        encoded(Image.new("L", (1, 8000))),
        encoded(Image.new("L", (7, 7))),
        encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        encoded(frames[0], save_all=True, append_images=frames[1:4]),
        encoded(PIXELS, "JPEG", exif=b"Exif\0\0" + bytes(65_000)),
        encoded(PIXELS, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        encoded(PIXELS, "TIFF"),
        *(of_mode(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *(of_mode(mode, "TIFF") for mode in ("I", "F", "LAB")),
        *(of_mode(mode, "JPEG") for mode in ("CMYK", "YCbCr")),
    ]


def hostile(repeats):
    """Contents, each with the file name under which it comes."""
    rng = random.Random(0)
    cut = [data[: len(data) * part // 10] for data in FORMATS.values() for part in repeats(quick=(5,), full=range(10))]
    noise = [rng.randbytes(200) for _ in range(repeats(quick=2, full=20))]
    flips = [
        PNG[:at] + bytes([PNG[at] ^ 0xFF]) + PNG[at + 1 :] for at in range(0, len(PNG), repeats(quick=300, full=25))
    ]
    contents = [*by_hand(), *cut, *noise, *flips]
    return [(content, NAMES[number % len(NAMES)]) for number, content in enumerate(contents)]


def rss_mb():
    return psutil.Process().memory_info().rss / 1e6


@pytest.mark.slow
def test_hostile_pictures_give_a_result_or_a_sentence_and_little_memory(url, repeats):
    parameters, slowest, grown = interface(url)["encode"], 0.0, 0.0
    files = hostile(repeats)
    for content, name in files:
        begin, memory = time.monotonic(), rss_mb()
        path = upload(url, content, name)
        if not isinstance(path, str):
            assert 400 <= path.status < 500
            assert leaked(path.text) == []
            continue
        event, said = call(url, "encode", values_of(parameters, image=file_data(path, orig_name=name)))
        assert leaked(said) == [], (name, content[:40])
        assert event in ("complete", "error")
        assert event == "complete" or json.loads(said)["error"], (name, content[:40])
        slowest, grown = max(slowest, time.monotonic() - begin), max(grown, rss_mb() - memory)
    print(f"\nhostile pictures: {len(files)}, slowest {slowest:.2f} s, largest growth {grown:.1f} MB")
    assert grown < MAX_GROWTH_MB


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"])
def test_pictures_of_every_mode_are_read(url, mode):
    format = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    path = upload(url, of_mode(mode, format), f"a.{format.lower()}")
    assert call(url, "encode", [file_data(path), None])[0] == "complete"


def latent_of(url, content):
    event, said = call(url, "encode", [file_data(upload(url, content)), None])
    assert event == "complete", said
    return json.loads(said)[0]


def test_a_camera_that_was_turned_gives_the_picture_that_was_seen(url):
    """Orientation 6: what lies in the file must be turned a quarter to the right."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(np.ascontiguousarray(np.rot90(PIXELS)), exif=exif)
    assert (
        latent_of(url, turned) == latent_of(url, PNG) != latent_of(url, encoded(np.ascontiguousarray(np.rot90(PIXELS))))
    )

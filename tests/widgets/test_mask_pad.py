"""What the browser paints arrives as a mask; what the kernel shows goes back as bytes beside the state."""

import numpy as np
import pytest
from PIL import Image

from ldm_lab.tasks import MaskPicture
from ldm_lab.widgets import MaskPad

PICTURE = Image.new("RGB", (6, 4), "red")
EMPTY = MaskPicture.from_image(Image.new("L", (6, 4)))
VALUES = bytes(np.linspace(0, 255, 24).astype(np.uint8))


@pytest.fixture
def pad():
    return MaskPad(label="Mask")


def painted(values=VALUES, view="browser"):
    """The message of a stroke that ended; its buffer arrives as a memoryview."""
    return {"topic": "mask", "view": view, "width": 6, "height": 4}, [memoryview(values)]


def test_a_stroke_arrives_and_counts_from_half_on(pad):
    heard = []
    pad.observe(lambda change: heard.append(change.new), "mask")
    pad._handle_custom_msg(*painted())
    assert heard == [pad.mask]
    assert pad.mask == MaskPicture.of(np.frombuffer(VALUES, np.uint8).reshape(4, 6) >= 128)


def test_other_views_of_the_pad_get_the_stroke_as_it_was_painted(pad):
    pad._handle_custom_msg(*painted())
    content, buffers = pad.delivered("mask")
    assert content == {"topic": "mask", "width": 6, "height": 4, "view": "browser"}
    assert buffers == [VALUES]


def test_a_mask_that_is_shown_is_nobody_s_stroke(pad):
    pad.show_picture(PICTURE, EMPTY)
    content, buffers = pad.delivered("mask")
    assert content["view"] == ""
    assert buffers == [bytes(24)]
    assert pad.mask == EMPTY
    assert pad.delivered("picture")[0] == {"topic": "picture", "width": 6, "height": 4}


def test_what_is_seen_is_told_with_its_place(pad):
    pad.show_seen(Image.new("L", (4, 2), 255), (2, 0, 6, 2), num_cells=2, num_all=2)
    content, buffers = pad.delivered("seen")
    assert content == {"topic": "seen", "box": [2, 0, 6, 2], "num_cells": 2, "num_all": 2}
    assert buffers == [b"\xff" * 8]


def test_files_go_to_whoever_reads_them():
    files = []
    pad = MaskPad(on_file=files.append)
    pad._handle_custom_msg({"topic": "file"}, [memoryview(b"a file")])
    assert files == [b"a file"]
    MaskPad()._handle_custom_msg({"topic": "file"}, [memoryview(b"a file")])


def test_the_mask_stays_out_of_the_notebook_file(pad):
    pad.show_picture(PICTURE, EMPTY)
    pad._handle_custom_msg(*painted())
    assert "mask" not in pad.get_state()

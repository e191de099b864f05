import re

import pytest
from PIL import Image

from ldm_lab.viz import sprites
from ldm_lab.widgets import (
    BrowserView,
    CellGrid,
    CompareSlider,
    CurvePad,
    FrameView,
    PictureRow,
    PlotView,
    PuckPad,
    Scrubber,
    StatusLine,
)
from ldm_lab.widgets.browser_view import script, synced_bytes

VIEWS = [CellGrid, CompareSlider, CurvePad, FrameView, PictureRow, PlotView, PuckPad, Scrubber, StatusLine]


class Sent(list):
    """What a view sends to the browser."""

    def take(self, content, buffers=None):
        self.append((content, buffers))


@pytest.fixture
def listen(monkeypatch):
    def to(view):
        sent = Sent()
        monkeypatch.setattr(view, "send", sent.take)
        return sent

    return to


@pytest.mark.parametrize("view", VIEWS)
def test_every_trait_that_the_script_asks_for_is_synced(view):
    """A name that is misspelled on one side would be undefined without a word."""
    asked = set(re.findall(r'model\.[gs]et\("(\w+)"', view().get_state()["_esm"]))
    assert asked
    assert asked <= set(view().keys)


@pytest.mark.parametrize("view", VIEWS)
def test_the_code_is_text_and_not_a_watched_file(view):
    state = view().get_state()
    assert state["_esm"].endswith("export default { render };\n")
    assert ".ldm-" in state["_css"]


def test_deliveries_are_repeated_to_views_that_open_later(listen):
    view = FrameView()
    sent = listen(view)
    view.paint(b"first")
    view.paint(b"second")
    del sent[:]
    view._handle_custom_msg({"topic": "ready"}, [])
    assert sent == [({"topic": "frame", "mime": "image/jpeg"}, [b"second"])]
    view.close()
    assert view.delivered("frame") is None


def test_frames_stay_out_of_the_state():
    view = FrameView()
    view.paint(b"\xff" * 1000)
    assert view.get_state()["still"] == b""


def test_the_final_picture_ends_the_frames(listen):
    view = FrameView()
    view.paint(b"frame")
    view.settle(Image.new("RGB", (4, 4), "red"), alt="a red square")
    assert view.delivered("frame") is None
    assert view.still.startswith(b"\x89PNG")
    assert view.alt == "a red square"


def test_a_pair_is_delivered_without_loss(listen):
    view = CompareSlider()
    sent = listen(view)
    view.compare(Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue"))
    ((content, buffers),) = sent
    assert content == {"topic": "pair", "mime": "image/png"}
    assert all(data.startswith(b"\x89PNG") for data in buffers)
    assert len(set(buffers)) == 2


def test_sheets_tell_how_they_are_cut(listen):
    view = Scrubber()
    sent = listen(view)
    sheet = sprites([Image.new("RGB", (8, 6), color) for color in ("red", "green", "blue")])
    view.show({"z_0": sheet, "noise": sheet}, ["a", "b", "c"])
    ((content, buffers),) = sent
    cut = {"mime": "image/jpeg", "columns": 3, "width": 8, "height": 6}
    assert content["sheets"] == [{"name": "z_0", **cut}, {"name": "noise", **cut}]
    assert content["count"] == 3
    assert buffers == [sheet.data, sheet.data]
    assert view.labels == ["a", "b", "c"]


def test_bytes_of_the_browser_are_accepted():
    """They come as a memoryview, which ``traitlets.Bytes`` refuses."""

    class Pad(BrowserView):
        _esm = script("frame_view")
        strokes = synced_bytes("What was drawn.")

    pad = Pad()
    pad.set_state({"strokes": memoryview(b"\x01\x02")})
    assert pad.strokes == b"\x01\x02"

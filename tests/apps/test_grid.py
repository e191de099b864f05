"""Grids of the page: the cells are the library's, nobody learns of those that others made, and old ones go."""

import os
import time
from types import SimpleNamespace

import gradio as gr
import pytest

import ldm_lab as lab
from apps.studio.cells import KEPT_SEC, NO_AXIS, Cells, GridWish
from apps.studio.desks import Desks
from apps.studio.grid import Grid
from ldm_lab.core.errors import RequestError

VISITOR = SimpleNamespace(session_hash="somebody")
WISH = ("a red circle", 3, 2, "guidance_scale", "1, 2", "num_steps", "1, 2")


@pytest.fixture
def tab(models, tmp_path):
    with gr.Blocks():
        yield Grid(models, Desks(), Cells(tmp_path / "cells"), gr.BrowserState(""))


def make(tab, *wish, key="a", visitor=VISITOR):
    """Make a grid to its end; sentences on the way, and what stands in the gallery at last."""
    updates = [*tab._make(visitor, key, "tiny-text", *wish)]
    return [update[tab.status] for update in updates], updates[-1][tab.gallery]


def test_every_cell_is_the_library_s_and_none_is_made_twice(tab, tiny_folder):
    said, shown = make(tab, *WISH)
    assert "4 of 4 cells, 0 of them made before." in said[-1]
    pipeline = lab.load(tiny_folder)
    for (image, caption), (steps, scale) in zip(shown["value"], [(1, 1.0), (1, 2.0), (2, 1.0), (2, 2.0)], strict=True):
        run = pipeline.text_to_image("a red circle", seeds=[3], num_steps=steps, guidance_scale=scale)
        assert image.tobytes() == run.images[0].tobytes()
        assert caption == f"guidance scale {scale:g}, steps {steps}"
    assert shown["columns"] == 2
    again, shown_again = make(tab, *WISH)
    assert "4 of 4 cells, 4 of them made before." in again[-1]
    assert [image.tobytes() for image, _ in shown_again["value"]] == [image.tobytes() for image, _ in shown["value"]]


def test_nobody_learns_what_others_made(tab):
    make(tab, *WISH)
    assert "0 of them made before" in make(tab, *WISH, key="b")[0][-1]
    assert "0 of them made before" in make(tab, *WISH, key="", visitor=SimpleNamespace(session_hash="other"))[0][-1]


def test_a_cell_that_fails_says_why_and_the_others_go_on(tab):
    said, shown = make(tab, "a star", 0, 1, "width", "16, 18", NO_AXIS, "")
    assert "2 of 2 cells" in said[-1]
    (_, good), (_, bad) = shown["value"]
    assert good == "width 16"
    assert bad.startswith("width 18: width is 18")


def test_stop_keeps_what_there_is_and_the_same_grid_goes_on(tab):
    making = tab._make(VISITOR, "a", "tiny-text", *WISH)
    next(making)
    assert "1 of 4 cells" in next(making)[tab.status]
    tab._stop(VISITOR)
    *_, last = making
    assert "Stopped after 2 of 4 cells" in last[tab.status]
    assert "2 of them made before" in make(tab, *WISH)[0][-1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"x_name": "colour"}, "'colour' cannot be an axis; choose one of seed"),
        ({"x_values": ""}, "guidance_scale has 0 values"),
        ({"x_values": "1, x"}, "guidance_scale takes numbers, and 'x' is none"),
        ({"y_name": "guidance_scale", "y_values": "1"}, "give one to three different ones"),
        (
            {"x_values": "1,2,3,4,5,6,7", "y_name": "seed", "y_values": "1,2,3,4,5,6"},
            "42 cells; this page makes at most 36",
        ),
        ({"y_name": "num_steps", "y_values": "201"}, "num_steps is 201; this page takes at most 200"),
        ({"seed": 1.5}, "seed is 1.5; give a whole number"),
        ({"prompt": None}, "prompt is None; expected str"),
        ({"x_values": ["1"]}, "x_values is \\['1'\\]; expected str"),
    ],
)
def test_mistakes_are_sentences(card, changes, sentence):
    wish = {"prompt": "a star", "seed": 0, "num_steps": 2, "x_name": "guidance_scale", "x_values": "1, 2"}
    with pytest.raises(RequestError, match=sentence):
        GridWish(**wish | changes).planned(card)


def test_a_key_leads_to_the_same_cells_and_no_key_to_none(tmp_path):
    cells = Cells(tmp_path)
    assert cells.of("a").folder == cells.of("a").folder != cells.of("b").folder
    assert cells.of("").folder != cells.of("").folder
    assert cells.of("../../x").folder.parent == tmp_path


def test_after_an_hour_cells_are_deleted(tab, tmp_path):
    make(tab, *WISH)
    files = sorted((tmp_path / "cells").glob("*/*.png"))
    old = time.time() - KEPT_SEC - 1
    os.utime(files[0], (old, old))
    tab.cells.sweep()
    assert sorted((tmp_path / "cells").glob("*/*.png")) == files[1:]
    Cells(tmp_path / "nothing").sweep()

"""How the page is put together: one line for everything that uses a model, and no lossy copy of a picture."""

import gradio as gr
import pytest

from apps.studio.cells import Cells
from apps.studio.desks import Desks
from apps.studio.endpoints import TASK_ENDPOINTS
from apps.studio.page import build_app

TABS = ["Create", "Inpaint", "Layout", "Upscale", "Latents", "Compression", "Grid", "Compare"]


@pytest.fixture(scope="module")
def page(make_models, layout_folder, upscaling_folder, tmp_path_factory):
    models = make_models(layout_folder, upscaling_folder)
    yield build_app(models, Desks(), Cells(tmp_path_factory.mktemp("cells")))
    models.close()


def test_the_tabs_are_there(page):
    assert [block.label for block in page.blocks.values() if isinstance(block, gr.Tab)] == TABS


def test_whatever_waits_at_all_waits_in_one_line(page):
    """Or two models would compute at once."""
    waiting = [function for function in page.fns.values() if function.queue and function.targets[0][1] != "unload"]
    assert len(waiting) > 10
    assert {function.concurrency_id for function in waiting} == {"model"}
    assert {function.concurrency_limit for function in waiting} == {1}


def test_programs_see_the_endpoints_and_nothing_else(page):
    public = {function.api_name for function in page.fns.values() if function.api_visibility == "public"}
    assert public == {*TASK_ENDPOINTS, "encode", "decode", "grid"}


def test_pictures_are_never_lossy_copies(page):
    pictures = [block for block in page.blocks.values() if hasattr(block, "format") and hasattr(block, "postprocess")]
    assert len(pictures) > 10
    assert {block.format for block in pictures if not isinstance(block, gr.Video | gr.Audio)} == {"png"}


def test_each_tab_says_what_to_do_where_there_is_no_model(make_models, tmp_path):
    models = make_models()
    page = build_app(models, Desks(), Cells(tmp_path))
    words = " ".join(block.value for block in page.blocks.values() if isinstance(block, gr.Markdown))
    assert "No model here draws layouts" in words
    assert "No model here makes pictures larger" in words
    models.close()

"""Tabs without a browser: what their buttons do, with models that serve them, and what they say without one."""

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import ldm_lab as lab
from apps.studio.create import Create
from apps.studio.desks import Desks
from apps.studio.inpaint import drawn_over
from apps.studio.layout import SHOWN_SIDE, Layout, drawn, example, things
from apps.studio.models import Models
from apps.studio.upscale import Upscale, small_scene
from ldm_lab.core.errors import RequestError
from tests.apps.tabs import VISITOR, chosen, pixels_of

WHITE = (255, 255, 255)


def words_on(block):
    """All Markdown of a tab."""
    return " ".join(each.value for each in block.children if isinstance(each, gr.Markdown))


class TestLayout:
    def test_what_is_on_the_lines_is_what_the_library_makes_of_it(self, open_tab, layout_folder):
        tab, desk = open_tab(Layout, layout_folder)
        lines = "circle red 0.1 0.1 0.5 0.5\n\n  star blue 0.5 0.5 1 0.9  "
        updates = [
            *tab.maker.walk(VISITOR, "tiny-layout", {"layout": things(lines)} | tab.maker.how(3, 2, "ddim", 2.0))
        ]
        assert updates[-1][tab.maker.result.gallery]["value"][0][1] == "seed 3"
        asked = ["circle red 0.1 0.1 0.5 0.5", "star blue 0.5 0.5 1 0.9"]
        run = lab.load(layout_folder).layout_to_image(asked, seeds=[3], num_steps=2, sampler="ddim", guidance_scale=2.0)
        assert pixels_of(desk.last_run("layout")) == pixels_of(run)

    def test_two_clicks_add_a_box_in_whatever_order_the_corners_come(self, open_tab, layout_folder):
        tab, _ = open_tab(Layout, layout_folder)
        side = SHOWN_SIDE
        lines, corner, marked = tab._corner(chosen((side // 2, side // 4)), "tiny-layout", "", None, "star", "red")
        assert (lines, corner) == ("", (side // 2, side // 4))
        assert marked.getpixel(corner) == (0, 0, 0)
        lines, corner, shown = tab._corner(chosen((0, side)), "tiny-layout", lines, corner, "star", "red")
        assert (lines, corner) == ("star red 0 0.25 0.5 1", None)
        assert shown.tobytes() == drawn(lines).tobytes() != drawn("").tobytes()

    def test_a_box_without_area_is_refused_in_a_sentence(self, open_tab, layout_folder):
        tab, _ = open_tab(Layout, layout_folder)
        with pytest.raises(RequestError, match=r"its left \(0.5\) must be less than its right \(0.5\)"):
            tab._corner(chosen((160, 10)), "tiny-layout", "", (160, 200), "star", "red")

    def test_lists_that_a_model_does_not_have_are_hidden(self, open_tab, layout_folder, save_tiny):
        from ldm_lab.conditioning import LayoutTransformerConfig

        sizes = {"max_objects": 2, "grid": 8, "width": 8, "depth": 1, "num_heads": 2, "head_channels": 4}
        other = save_tiny("tiny-things", LayoutTransformerConfig(vocabularies=(("cat", "dog"),), **sizes))
        tab, _ = open_tab(Layout, layout_folder, other)
        lines, first, second = tab._dress("tiny-things")
        assert lines == "cat 0.05 0.2 0.5 0.7\ndog 0.6 0.5 0.9 0.85"
        assert (first["choices"], first["visible"], second["visible"]) == (["cat", "dog"], True, False)
        assert tab._corner(chosen((320, 320)), "tiny-things", "", (0, 0), "dog", "blue")[0] == "dog 0 0 1 1"

    def test_the_example_is_understood_by_the_model(self, open_tab, layout_folder):
        tab, _ = open_tab(Layout, layout_folder)
        lines = example(tab.models.card("tiny-layout"))
        [*_, last] = tab.maker.walk(VISITOR, "tiny-layout", {"layout": things(lines), "num_steps": 1})
        assert last[tab.maker.result.gallery]["visible"]

    def test_a_line_that_is_being_typed_is_not_drawn(self):
        whole = "star red 0.1 0.1 0.5 0.5"
        assert drawn(f"{whole}\nstar re").tobytes() == drawn(whole).tobytes()
        assert drawn(whole).getpixel((SHOWN_SIDE - 2, SHOWN_SIDE - 2)) == WHITE

    def test_without_a_model_the_tab_says_how_to_train_one(self, make_models):
        with gr.Blocks() as page:
            Layout(make_models(), Desks())
        assert "ldm-lab train diffusion --task layout --out runs/layout" in words_on(page)


class TestUpscale:
    def test_the_example_is_made_larger_as_the_library_does(self, open_tab, upscaling_folder):
        tab, desk = open_tab(Upscale, upscaling_folder)
        picture, _ = small_scene(tab.maker.card, 1)
        assert picture.size == (8, 8)
        asked = {"image": picture} | tab.maker.how(5, 2, "ddim", "whole")
        [*_, last] = tab.maker.walk(VISITOR, "tiny-sr", asked)
        run = lab.load(upscaling_folder).super_resolution(picture, seeds=[5], num_steps=2, sampler="ddim")
        assert pixels_of(desk.last_run("upscale")) == pixels_of(run)
        assert run.images[0].size == (16, 16)
        assert last[tab.maker.result.preview] == gr.update(visible=False)

    def test_what_it_makes_counts_for_the_limit_not_what_it_is_given(self, open_tab, upscaling_folder):
        tab, _ = open_tab(Upscale, upscaling_folder)
        asked = {"image": Image.new("RGB", (512, 512)), "num_steps": 60}  # 1024 × 1024 × 60
        with pytest.raises(RequestError, match="pixels × steps × images are 62 million"):
            tab.maker.request("tiny-sr", asked)
        tab.maker.request("tiny-sr", asked | {"num_steps": 57})

    def test_without_a_model_the_tab_says_how_to_train_one(self, make_models):
        with gr.Blocks() as page:
            Upscale(make_models(), Desks())
        assert "ldm-lab train diffusion --task super-resolution --out runs/super-resolution" in words_on(page)


def test_a_model_of_another_kind_is_refused_by_name(open_tab, layout_folder):
    tab, _ = open_tab(Create, layout_folder)
    with pytest.raises(RequestError, match="tiny-layout is conditioned on layouts; choose one of tiny-text"):
        tab.maker.request("tiny-layout", {"prompt": "a star"})


def test_stop_ends_the_walk_of_its_tab(open_tab, layout_folder):
    tab, desk = open_tab(Layout, layout_folder)
    walk = tab.maker.walk(VISITOR, "tiny-layout", {"layout": things("star red 0 0 1 1"), "num_steps": 200})
    while "layout" not in desk.jobs:
        next(walk)
    tab.maker._stop(VISITOR)
    updates = [update for update in walk]
    assert "Stopped" in updates[-1][tab.maker.result.status]
    assert desk.last_run("layout").partial


def test_who_closes_the_walk_ends_it_within_a_step(open_tab, layout_folder):
    tab, desk = open_tab(Layout, layout_folder)
    walk = tab.maker.walk(VISITOR, "tiny-layout", {"layout": things("star red 0 0 1 1"), "num_steps": 200})
    while not any(tab.maker.result.preview in update and "img" in str(update) for update in [next(walk)]):
        pass
    job = desk.jobs["layout"]
    walk.close()
    assert job.is_done
    assert desk.jobs == {}
    assert desk.runs == {}


def test_the_last_update_says_everything(open_tab, layout_folder):
    """Of updates that follow each other quickly, Gradio's page takes some as if they were already the next one."""
    tab, _ = open_tab(Layout, layout_folder)
    *_, last = tab.maker.walk(VISITOR, "tiny-layout", {"layout": things("star red 0 0 1 1")})
    assert last.keys() == {*tab.maker.result.outputs}


def test_controls_begin_with_what_the_model_recommends(open_tab, layout_folder):
    tab, _ = open_tab(Layout, layout_folder)
    shown = {name: component.value for name, component in tab.maker.settings.items()}
    assert shown == {"num_steps": 3, "sampler": "ddim", "guidance_scale": 4.0}  # the last one is the package's own
    assert tab.maker._advise("tiny-layout") == [3, "ddim", 4.0]


def test_the_part_that_is_looked_at_is_framed_and_the_mask_tinted():
    picture = Image.fromarray(np.full((16, 16, 3), 200, dtype=np.uint8))
    mask = Image.new("L", (8, 8))
    mask.paste(255, (2, 2, 6, 6))
    shown = drawn_over(picture, mask, (4, 4, 12, 12))
    assert shown.size == (256, 256)
    assert shown.getpixel((0, 0)) == shown.getpixel((16 * 5 + 8, 16 * 5 + 8)) == (200, 200, 200)
    assert shown.getpixel((16 * 8, 16 * 8))[2] < 100  # tinted: what was grey has little blue left
    assert shown.getpixel((16 * 4, 16 * 8)) == shown.getpixel((16 * 12 - 1, 16 * 8)) == (0, 114, 178)


def test_only_models_with_a_task_are_offered(make_models, layout_folder, upscaling_folder):
    models = make_models(layout_folder, upscaling_folder)
    assert isinstance(models, Models)
    with gr.Blocks():
        tabs = [tab(models, Desks()) for tab in (Create, Layout, Upscale)]
    assert [tab.maker.names for tab in tabs] == [["tiny-text"], ["tiny-layout"], ["tiny-sr"]]

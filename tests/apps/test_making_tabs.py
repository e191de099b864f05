"""Create and Inpaint without a browser: what comes is the library's, whatever kind of model makes it."""

import io

import numpy as np
import pytest
from PIL import Image

import ldm_lab as lab
from apps.studio.create import Create
from apps.studio.inpaint import Inpaint
from ldm_lab.conditioning import ClassLabelConfig
from ldm_lab.core.errors import RequestError
from tests.apps.tabs import VISITOR, chosen, pixels_of

FORM = {"prompt": "a red circle", "label": None, "negative_prompt": "a star", "seed": 3, "count": 2}
FORM |= {"guidance_from": 0.0, "guidance_to": 0.5, "num_steps": 2, "sampler": "ddim", "width": 16, "height": 16}
FORM |= {"guidance_scale": 3.0, "guidance_rescale": 0.5}


@pytest.fixture(scope="session")
def class_folder(save_tiny):
    return save_tiny("tiny-class", ClassLabelConfig(num_classes=3, width=8, names=("circle", "square", "star")))


@pytest.fixture(scope="session")
def numbered_folder(save_tiny):
    return save_tiny("tiny-numbers", ClassLabelConfig(num_classes=3, width=8))


@pytest.fixture(scope="session")
def unconditional_folder(save_tiny):
    return save_tiny("tiny-uncond", None)


def generate(tab, model, **changes):
    form = FORM | changes
    assert form.keys() == tab.inputs.keys()
    return [*tab._generate(VISITOR, model, *(form[name] for name in tab.inputs))]


class TestCreate:
    def test_a_sentence(self, open_tab, tiny_folder):
        tab, desk = open_tab(Create)
        generate(tab, "tiny-text")
        asked = {"seeds": [3, 4], "num_steps": 2, "sampler": "ddim", "guidance_scale": 3.0, "guidance_rescale": 0.5}
        asked |= {"negative_prompt": "a star", "guidance_interval": (0.0, 0.5), "width": 16, "height": 16}
        run = lab.load(tiny_folder).text_to_image("a red circle", **asked)
        assert desk.last_run("create").settings == run.settings
        assert pixels_of(desk.last_run("create")) == pixels_of(run)

    def test_a_class_by_name_or_by_number(self, open_tab, class_folder, numbered_folder):
        tab, desk = open_tab(Create, class_folder, numbered_folder)
        generate(tab, "tiny-class", label="star")
        by_name = desk.last_run("create")
        assert pixels_of(by_name) == pixels_of(lab.load(class_folder).run("class_to_image", **_asked(by_name)))
        generate(tab, "tiny-numbers", label="2")
        assert desk.last_run("create").settings.label == 2

    def test_nothing_in_particular(self, open_tab, unconditional_folder):
        tab, desk = open_tab(Create, unconditional_folder)
        generate(tab, "tiny-uncond")
        run = lab.load(unconditional_folder).unconditional(seeds=[3, 4], num_steps=2, sampler="ddim")
        assert pixels_of(desk.last_run("create")) == pixels_of(run)

    def test_the_form_shows_what_the_model_reads(self, open_tab, class_folder, numbered_folder, unconditional_folder):
        tab, _ = open_tab(Create, class_folder, numbered_folder, unconditional_folder)
        shown = {name: [update["visible"] for update in tab._dress(name)] for name in tab.maker.names}
        assert shown == {
            "tiny-text": [True, True, True, False, True],
            "tiny-class": [False, False, False, True, True],
            "tiny-numbers": [False, False, False, True, True],
            "tiny-uncond": [False, False, False, False, False],
        }
        assert tab._dress("tiny-numbers")[3]["choices"] == ["0", "1", "2"]

    def test_the_steps_of_the_chosen_image_come_under_the_slider(self, open_tab):
        tab, _ = open_tab(Create)
        with pytest.raises(RequestError, match="there is no image yet"):
            tab._scrub(chosen(0), VISITOR)
        generate(tab, "tiny-text")
        strips = [tab._scrub(chosen(index), VISITOR) for index in (0, 1)]
        assert strips[0] != strips[1]
        assert "step 2 of 2" in strips[0]


def _asked(run):
    names = ("label", "seeds", "num_steps", "sampler", "guidance_scale", "guidance_rescale", "guidance_interval")
    return {name: getattr(run.settings, name) for name in names}


PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class TestInpaint:
    @pytest.fixture
    def drawn(self):
        layer = Image.new("RGBA", (16, 16))
        layer.paste((255, 255, 255, 255), (8, 0, 16, 16))
        return {"background": png(Image.fromarray(PIXELS)), "layers": [png(layer)], "composite": None}

    def how(self, tab):
        values = {name: component.value for name, component in tab.maker.settings.items()}
        return [5, *(values | {"num_steps": 2, "sampler": "ddim"}).values()]

    def test_what_is_painted_over_is_made_anew_as_the_library_does(self, open_tab, tiny_folder, drawn):
        tab, desk = open_tab(Inpaint)
        updates = [*tab._repaint(VISITOR, "tiny-text", drawn, None, "a star", False, *self.how(tab))]
        hole = Image.new("L", (16, 16))
        hole.paste(255, (8, 0, 16, 16))
        asked = {"prompt": "a star", "seeds": [5], "num_steps": 2, "sampler": "ddim", "guidance_scale": 2.5}
        run = lab.load(tiny_folder).inpainting(Image.fromarray(PIXELS), hole, **asked)
        assert pixels_of(desk.last_run("inpaint")) == pixels_of(run)
        before, after = updates[-1][tab.before_after]["value"]
        assert before.tobytes() == PIXELS.tobytes()
        np.testing.assert_array_equal(np.asarray(after)[:, :8], PIXELS[:, :8])
        assert "known pixels are the input&#x27;s" in updates[-1][tab.maker.result.status]

    def test_the_mask_is_shown_in_the_cells_of_the_latent(self, open_tab, drawn):
        tab, _ = open_tab(Inpaint)
        *_, last = tab._repaint(VISITOR, "tiny-text", drawn, None, "a star", False, *self.how(tab))
        seen = last[tab.seen]["value"]
        same = (np.asarray(seen)[8::16, 8::16] == PIXELS).all(-1)
        assert same[:, :8].all()
        assert not same[:, 8:].any()

    def test_without_a_stroke_nothing_is_computed(self, open_tab, drawn):
        tab, _ = open_tab(Inpaint)
        with pytest.raises(RequestError, match="nothing is painted over"):
            next(tab._repaint(VISITOR, "tiny-text", drawn | {"layers": []}, None, "", False, *self.how(tab)))
        assert tab.models.loaded == []

    def test_the_last_image_of_create_can_be_painted_on(self, open_tab, tiny_folder):
        tab, desk = open_tab(Inpaint)
        with pytest.raises(RequestError, match="make one in the tab Create"):
            tab._last(VISITOR)
        desk.runs["create"] = lab.load(tiny_folder).text_to_image("a star", num_steps=1)
        assert tab._last(VISITOR).tobytes() == desk.runs["create"].images[0].tobytes()

"""The panel without a browser: what is painted is set as the browser sends it."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ldm_lab.conditioning import ClassLabelConfig, LayoutTransformerConfig, MaskedImageConfig
from ldm_lab.core.errors import ImageError, RequestError
from ldm_lab.session import Session
from ldm_lab.tasks import Origin, Pipeline
from ldm_lab.widgets import InpaintPanel

TIMEOUT_SEC = 120
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
HALF = np.zeros((16, 16), dtype=bool)
HALF[:, 8:] = True


@pytest.fixture
def panel(session):
    with InpaintPanel(session, PICTURE) as panel:
        panel.form.controls["num_steps"].set(2)
        panel.form.controls["sampler"].set("ddim")
        panel.form.controls["prompt"].set("a star")
        yield panel


def stroke(panel, mask):
    """A stroke as it comes from the browser."""
    values = memoryview((mask * 255).astype(np.uint8).tobytes())
    message = {"topic": "mask", "view": "browser", "width": mask.shape[1], "height": mask.shape[0]}
    panel.pad._handle_custom_msg(message, [values])
    assert panel.wait(TIMEOUT_SEC)


def repainted(panel, mask=HALF):
    stroke(panel, mask)
    panel.repaint()
    assert panel.wait(TIMEOUT_SEC)
    return panel.run


class TestRepainting:
    def test_the_masked_half_is_new_and_the_other_is_not(self, panel):
        run = repainted(panel)
        made = np.asarray(run.images[0])
        assert np.array_equal(made[~HALF], np.asarray(PICTURE)[~HALF])
        assert (made[HALF] != np.asarray(PICTURE)[HALF]).mean() > 0.9
        assert panel.check.value.count("✓ 128 unmasked pixels changed by at most 0 of 255 levels.") == 1
        assert Image.open(io.BytesIO(panel.view.still)).tobytes() == run.grid().tobytes()
        before, after = (Image.open(io.BytesIO(data)) for data in panel.slider.delivered("pair")[1])
        assert (before.tobytes(), after.tobytes()) == (PICTURE.tobytes(), run.images[0].tobytes())

    def test_the_check_measures_the_finished_picture(self, panel, monkeypatch):
        """With a decoder whose pixels are not put back, it must not say that all is well."""
        monkeypatch.setattr("ldm_lab.tasks.inpainting.paste_back", lambda made, before, hole: (made, [_Silent()]))
        repainted(panel)
        assert "⚠ 128 unmasked pixels changed by at most " in panel.check.value

    @pytest.mark.parametrize(
        ("mask", "sentence"),
        [
            (np.zeros_like(HALF), "the mask is empty, so nothing was run; paint over what shall be made anew"),
            (np.ones_like(HALF), "the mask covers the whole picture, so nothing was run; leave out what shall be kept"),
        ],
    )
    def test_an_empty_or_full_mask_is_said_and_nothing_runs(self, panel, mask, sentence):
        stroke(panel, mask)
        with pytest.raises(RequestError, match=sentence):
            panel.guarded(panel.repaint)()
        assert (panel.status.kind, panel.status.text) == ("error", sentence)
        assert panel.pending == []
        assert panel.run is None

    def test_one_can_go_on_with_the_result(self, panel):
        with pytest.raises(RequestError, match="there is no result yet"):
            panel.take_result()
        first = repainted(panel)
        panel.take_result()
        assert panel.settings.image.image.tobytes() == first.images[0].tobytes()
        assert panel.settings.mask.share == 0.5
        panel.wait(TIMEOUT_SEC)

    def test_what_lies_under_the_mask_and_how_the_edge_fades_are_asked_for(self, panel):
        plain = np.asarray(repainted(panel).images[0])
        for name, value in {"strength": 0.0, "masked_content": "fill", "mask_blur": 2}.items():
            panel.form.controls[name].set(value)
        filled = repainted(panel)
        assert (filled.settings.masked_content, filled.settings.mask_blur) == ("fill", 2)
        made = np.asarray(filled.images[0])
        assert not np.array_equal(made, plain)
        assert np.array_equal(made[~HALF], np.asarray(PICTURE)[~HALF])
        assert "✓ 128 unmasked pixels changed by at most 0 of 255 levels." in panel.check.value

    def test_the_code_makes_the_same_picture(self, panel, session, tmp_path, monkeypatch):
        panel.form.controls["masked_content"].set("noise")
        panel.form.controls["mask_blur"].set(3)
        repainted(panel)
        panel.save_pictures(tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("ldm_lab.load", lambda name: session.model)
        names = {}
        exec(panel.code(), names)
        assert names["run"].settings.mask_blur == 3
        assert names["run"].images[0].tobytes() == panel.run.images[0].tobytes()


class _Silent:
    sentence = ""


class TestWhatIsSeen:
    def test_cells_of_the_latent_are_drawn(self, panel):
        mask = np.zeros_like(HALF)
        mask[3, 5] = True  # of the cell of 2 x 2 in rows 2 and 3, columns 4 and 5
        stroke(panel, mask)
        content, (cells,) = panel.pad.delivered("seen")
        assert (content["num_cells"], content["num_all"], content["box"]) == (1, 64, [0, 0, 16, 16])
        assert Image.frombytes("L", (16, 16), cells).getbbox() == (4, 2, 6, 4)

    def test_of_a_large_picture_only_a_part_is_looked_at(self, session):
        with InpaintPanel(session, PICTURE.resize((48, 32))) as panel:
            assert panel.settings.only_masked
            mask = np.zeros((32, 48), dtype=bool)
            mask[20:24, 30:34] = True
            stroke(panel, mask)
            left, top, right, bottom = panel.pad.delivered("seen")[0]["box"]
            assert (right - left, bottom - top) == (20, 20)  # 4 and twice the padding of 8
            panel.form.controls["padding"].set(2)
            panel.wait(TIMEOUT_SEC)
            left, top, right, bottom = panel.pad.delivered("seen")[0]["box"]
            assert (right - left, bottom - top) == (16, 16)  # as large as the model's images
            panel.form.controls["only_masked"].set(False)
            panel.wait(TIMEOUT_SEC)
            assert panel.pad.delivered("seen")[0]["box"] == [0, 0, 48, 32]

    def test_a_picture_that_does_not_fit_is_fitted_and_that_is_said(self, session):
        with InpaintPanel(session, PICTURE.resize((23, 17))) as panel:
            assert panel.settings.image.size == (24, 16)
            assert panel.status.text == "The picture of 23 x 17 pixels was scaled and cut to 24 x 16."
            panel.wait(TIMEOUT_SEC)


class TestMasksFromElsewhere:
    def test_a_file_is_taken(self, panel, tmp_path):
        Image.fromarray((HALF * 255).astype(np.uint8)).save(tmp_path / "mask.png")
        content = (tmp_path / "mask.png").read_bytes()
        panel.pad._handle_custom_msg({"topic": "file"}, [memoryview(content)])
        assert np.array_equal(np.asarray(panel.pad.mask.image) > 0, HALF)
        panel.wait(TIMEOUT_SEC)

    def test_one_of_another_size_is_refused_with_both_sizes(self, panel):
        with pytest.raises(ImageError, match="the mask has 8 x 16 pixels, the image 16 x 16"):
            panel.guarded(panel.paint)(HALF[:, :8])
        assert panel.status.kind == "error"
        assert panel.pad.mask.share == 0

    def test_what_is_no_picture_is_refused(self, panel):
        with pytest.raises(ImageError, match="is not a picture in a known format"):
            panel.open_mask(b"no picture")


class TestModels:
    def open(self, make_tiny_model, conditioner):
        model = Pipeline(make_tiny_model(conditioner=conditioner), origin=Origin(name="tiny"))
        return Session(model)

    def test_one_that_was_trained_for_it_is_asked_for_no_words(self, make_tiny_model):
        with self.open(make_tiny_model, MaskedImageConfig(latent_channels=3)) as session:
            panel = InpaintPanel(session, PICTURE)
            assert not {"prompt", "label", "guidance_scale"} & set(panel.form.controls)
            panel.form.controls["num_steps"].set(2)
            assert np.array_equal(np.asarray(repainted(panel).images[0])[~HALF], np.asarray(PICTURE)[~HALF])
            panel.close()

    def test_one_of_classes_offers_their_names(self, make_tiny_model):
        classes = ClassLabelConfig(num_classes=2, width=8, names=("circle", "star"))
        with self.open(make_tiny_model, classes) as session, InpaintPanel(session, PICTURE) as panel:
            assert set(dict(panel.form.controls["label"].widget.options)) == {"none", "circle", "star"}

    def test_one_of_another_kind_is_refused(self, make_tiny_model, open_widgets):
        words = (("circle", "star"),)
        sizes = {"max_objects": 2, "grid": 8, "width": 8, "depth": 1, "num_heads": 2, "head_channels": 4}
        layout = LayoutTransformerConfig(vocabularies=words, **sizes)
        refused = pytest.raises(RequestError, match="inpainting needs a model that is conditioned on text")
        before = open_widgets()
        with self.open(make_tiny_model, layout) as session, refused:
            InpaintPanel(session, PICTURE)
        assert open_widgets() == before


class TestPanel:
    def test_stop_leaves_a_partial_run(self, gated):
        session, gate = gated
        with InpaintPanel(session, PICTURE) as panel:
            stroke(panel, HALF)
            panel.repaint()
            gate.wait_inside()
            panel.stop()
            gate.let_pass(100)
            assert panel.wait(TIMEOUT_SEC)
            assert panel.run.partial
            assert panel.status.kind == "warning"

    def test_the_static_form_shows_the_result(self, panel):
        run = repainted(panel)
        bundle = panel.show()._repr_mimebundle_()
        picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
        assert picture.tobytes() == run.grid().tobytes()
        assert "mask=&#x27;mask.png&#x27;" in bundle["text/html"]

    def test_nothing_is_left_behind(self, session, open_widgets):
        before = open_widgets()
        for _ in range(10):
            with InpaintPanel(session, PICTURE) as panel:
                panel.wait(TIMEOUT_SEC)
        assert open_widgets() == before

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import ShapeError
from ldm_lab.probes import Rearrangement, inspect_latent
from ldm_lab.tasks import TextToImageSettings
from ldm_lab.widgets import LatentInspectorPanel

TIMEOUT_SEC = 120


@pytest.fixture
def pipeline(session):
    return session.model


@pytest.fixture
def run(pipeline):
    settings = TextToImageSettings.of(prompt="a red circle", num_steps=3, sampler="ddim", seeds=[1, 2])
    return pipeline.carry_out(settings)


@pytest.fixture
def panel(session, run):
    with LatentInspectorPanel(session, run) as panel:
        assert panel.wait(TIMEOUT_SEC)
        yield panel


@pytest.fixture
def latent():
    return torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))


def settle(panel):
    assert panel.wait(TIMEOUT_SEC)
    return panel.result


def shown_pictures(panel):
    content, data = panel.pictures.delivered("pictures")
    return {name: Image.open(io.BytesIO(png)) for name, png in zip(content["names"], data, strict=True)}


class TestViews:
    def test_it_begins_with_the_last_prediction(self, panel, run, pipeline):
        expected = inspect_latent(pipeline, run.trajectory[-1].z_0_pred[0])
        assert panel.result.image.tobytes() == expected.image.tobytes()
        assert panel.run is run
        content, (numbers, *_) = panel.view.delivered("latent")
        counts = np.frombuffer(numbers, "<u2").reshape(3, 8, 8)
        found = content["planes"]["low"] + content["planes"]["step"] * counts
        tolerance = content["planes"]["step"] * 0.51
        torch.testing.assert_close(torch.from_numpy(found), expected.z.double(), rtol=0, atol=tolerance)
        assert content["facts"][1]["mean"] == f"{expected.statistics.mean[1]:+.2f}".replace("-", "−")
        assert panel.status.text == f"3 channels of 8 × 8 cells, step 3, t = {run.trajectory[-1].t}."

    def test_step_kind_and_image_are_chosen(self, panel, run):
        panel.step.value, panel.kind.value, panel.images.value = 2, "z_t", 1
        assert settle(panel).z is not None
        torch.testing.assert_close(panel.result.z, run.trajectory[1].z_t[1], rtol=0, atol=0)

    def test_colours_have_one_scale_or_many(self, panel):
        own = panel.view.delivered("latent")[0]["limits"]
        panel.scale.value = "one for all channels"
        settle(panel)
        assert panel.view.delivered("latent")[0]["limits"] == [max(own)] * 3
        assert len(set(own)) == 3

    def test_pictures_stand_beside(self, panel):
        pictures = shown_pictures(panel)
        assert list(pictures) == ["decoded", "linear preview", "principal components"]
        assert pictures["decoded"].tobytes() == panel.result.image.tobytes()
        assert pictures["linear preview"].size == pictures["principal components"].size == (256, 256)

    def test_heavy_bytes_stay_out_of_the_state(self, panel):
        state = {name: value for name, value in panel.view.get_state().items() if name not in ("_esm", "_css")}
        assert len(str(state)) < 2000

    def test_a_channel_of_zeros_is_white(self, panel):
        panel.form.controls["gains"].set((1.0, 0.0, 1.0))
        settle(panel)
        content, _ = panel.view.delivered("latent")
        assert content["limits"][1] >= 50 * content["planes"]["step"]  # rounding is no colour


class TestChanges:
    def test_a_channel_is_turned_off(self, panel, run, pipeline):
        panel.form.controls["gains"].set((1.0, 0.0, 1.0))
        found = settle(panel)
        expected = inspect_latent(pipeline, Rearrangement(gains=(1.0, 0.0, 1.0)).apply(run.trajectory[-1].z_0_pred[0]))
        assert found.z[1].abs().max() == 0.0
        assert found.image.tobytes() == expected.image.tobytes()

    def test_the_button_of_a_channel_sets_it_to_zero_and_back(self, panel):
        gains = panel.form.controls["gains"].widget
        slider, button = gains.children[2].children
        for expected in ((1.0, 1.0, 0.0), (1.0, 1.0, 1.0)):
            for callback in button._click_handlers.callbacks:
                callback(button)
            assert gains.value == expected
            assert slider.value == expected[2]

    def test_another_image_is_subtracted(self, panel, run):
        panel.other.value = 1
        panel.form.controls["operation"].set("a - b")
        z = run.trajectory[-1].z_0_pred
        torch.testing.assert_close(settle(panel).z, z[0] - z[1])

    def test_a_part_is_cut_out_and_repeated(self, panel, run):
        panel.form.show(Rearrangement(rows=(0.0, 0.5), columns=(0.5, 1.0), tiles=2))
        found = settle(panel)
        assert found.z.shape == (3, 8, 8)
        torch.testing.assert_close(found.z[:, 4:, :4], run.trajectory[-1].z_0_pred[0][:, :4, 4:], rtol=0, atol=0)

    def test_of_many_wishes_the_newest_counts(self, panel):
        heard = []
        panel.on_result(heard.append)
        panel.session.call(lambda _: [panel.form.controls["tiles"].set(count) for count in (2, 3, 4)]).wait(TIMEOUT_SEC)
        assert settle(panel).z.shape == (3, 32, 32)

    def test_a_cut_that_leaves_nothing_is_one_sentence(self, panel):
        panel.form.show(Rearrangement(rows=(0.5, 0.5)))
        settle(panel)
        assert panel.status.kind == "error"
        assert panel.status.text.startswith("rows (0.5, 0.5)")


class TestAnyLatent:
    def test_what_is_no_number_is_counted_and_painted(self, session, latent):
        latent[1, 2, 3], latent[2, 0, 0] = torch.nan, torch.inf
        with LatentInspectorPanel(session, latent) as panel:
            found = settle(panel)
            assert found.image is None
            assert panel.status.kind == "warning"
            assert panel.status.text == (
                "2 of 192 numbers are NaN or infinite; their cells are magenta, and it cannot be decoded."
            )
            content, (numbers, *_) = panel.view.delivered("latent")
            counts = np.frombuffer(numbers, "<u2").reshape(3, 8, 8)
            assert np.argwhere(counts == 65535).tolist() == [[1, 2, 3], [2, 0, 0]]
            assert content["broken"] == ["", "⚠ 1 NaN, 0 infinite", "⚠ 0 NaN, 1 infinite"]
            assert list(shown_pictures(panel)) == ["principal components"]
            assert panel.picture().getpixel((2 + 258 + 3 * 32 + 5, 2 + 2 * 32 + 5)) == (255, 0, 255)

    def test_another_latent_is_given(self, session, latent):
        with LatentInspectorPanel(session, latent, other=2 * latent) as panel:
            panel.form.controls["operation"].set("a - b")
            torch.testing.assert_close(settle(panel).z, -latent)
            assert panel.images.layout.display == "none"
            assert panel.other.label == "the other latent given"
            assert "b = other  # the other one" in panel.code()

    def test_a_batch_is_refused(self, session, latent):
        with pytest.raises(ShapeError, match=r"shape \(1, 3, 8, 8\); give one latent"):
            LatentInspectorPanel(session, latent[None])


class TestPanel:
    def test_the_code_finds_the_same(self, panel, pipeline, monkeypatch):
        panel.step.value, panel.other.value = 2, 1
        panel.form.show(Rearrangement(operation="mean", gains=(1.0, 0.5, 1.0)))
        found = settle(panel)
        monkeypatch.setattr("ldm_lab.load", lambda name: pipeline, raising=False)
        names = {}
        exec(panel.code(), names)
        torch.testing.assert_close(names["found"].z, found.z, rtol=0, atol=0)
        assert names["found"].image.tobytes() == found.image.tobytes()

    def test_the_static_form_shows_the_channels(self, panel):
        assert panel.picture().size == (3 * 258 + 2, 260)
        assert "image/png" in panel.static_bundle()

    def test_panels_leave_nothing_behind(self, session, run, open_widgets):
        before = open_widgets()
        for _ in range(10):
            with LatentInspectorPanel(session, run):
                assert open_widgets() > before
        assert open_widgets() == before

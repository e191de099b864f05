import dataclasses

import numpy as np
import pytest
import torch

from ldm_lab.core.errors import RequestError
from ldm_lab.model import NonFiniteImageError
from ldm_lab.probes import ablation_influence, walk_words
from ldm_lab.tasks import Origin, Pipeline, Run, TextToImageSettings
from ldm_lab.widgets import LinkedMicroscopePanel
from ldm_lab.widgets import microscope_panel as module

TIMEOUT_SEC = 120


@pytest.fixture
def pipeline(session):
    return session.model


@pytest.fixture
def run(pipeline):
    settings = TextToImageSettings.of(prompt="a red circle", num_steps=4, sampler="ddim", seeds=[1, 2])
    return pipeline.carry_out(settings)


@pytest.fixture
def panel(session, run):
    with LinkedMicroscopePanel(session, run, image=1) as panel:
        assert panel.wait(TIMEOUT_SEC)
        yield panel


def numbers(described, data):
    counts = np.frombuffer(data, f"<u{described['bits'] // 8}").reshape(described["shape"])
    missing = counts == 2 ** described["bits"] - 1
    return torch.from_numpy(np.where(missing, np.nan, described["low"] + described["step"] * counts))


def record_attention(panel):
    panel.record()
    assert panel.wait(TIMEOUT_SEC)


class TestMaps:
    def test_the_browser_gets_the_numbers_of_every_step(self, panel, run):
        content, (_, latents, *_) = panel.view.delivered("record")
        expected = torch.stack([step.z_0_pred[1] for step in run.trajectory])
        found = numbers(content["latents"], latents)
        torch.testing.assert_close(found, expected.double(), rtol=0, atol=content["latents"]["step"] * 0.51)
        assert content["labels"] == [f"step {step.index + 1}, t = {step.t}" for step in run.trajectory]
        assert content["frames"]["factor"] == 2
        assert panel.status.text == "All 4 steps are shown."
        assert panel.run is panel.result is run

    def test_what_would_be_too_much_at_once_is_thinned_out_and_said(self, session, run, monkeypatch):
        monkeypatch.setattr(module, "MAX_BYTES", 2 * 9 * 64)  # three channels of two bytes and three words
        with LinkedMicroscopePanel(session, run) as panel:
            panel.wait(TIMEOUT_SEC)
            assert panel.status.text == "2 of 4 steps, evenly spaced, are shown."
            content, _ = panel.view.delivered("record")
            assert content["latents"]["shape"] == (2, 3, 8, 8)

    def test_heavy_bytes_stay_out_of_the_state(self, panel):
        state = {name: value for name, value in panel.view.get_state().items() if name not in ("_esm", "_css")}
        assert len(str(state)) < 2000

    def test_another_image_is_chosen(self, panel, run):
        assert [value for _, value in panel.images.options] == [0, 1]
        panel.images.value = 0
        panel.wait(TIMEOUT_SEC)
        content, (_, latents, *_) = panel.view.delivered("record")
        expected = run.trajectory[-1].z_0_pred[0].double()
        found = numbers(content["latents"], latents)[-1]
        torch.testing.assert_close(found, expected, rtol=0, atol=content["latents"]["step"] * 0.51)

    def test_it_takes_what_another_panel_makes(self, session, run):
        with LinkedMicroscopePanel(session) as panel:
            assert panel.run is None
            assert panel.picture() is None
            assert panel.code().startswith("# No run yet")
            session.call(lambda _: run, listener=lambda event: panel.look_at(run)).wait(TIMEOUT_SEC)
            assert panel.wait(TIMEOUT_SEC)
            assert panel.run is run


class TestInfluence:
    def test_a_click_measures_the_decoder(self, panel, run, tiny_model):
        panel.view.set_state({"pinned": [2, 5, 1]})
        assert panel.wait(TIMEOUT_SEC)
        expected = ablation_influence(tiny_model, run.trajectory[1].z_0_pred[1], [(2, 5)])
        torch.testing.assert_close(panel.result.heat, expected.heat, rtol=0, atol=0)
        content, (heat,) = panel.view.delivered("influence")
        assert (content["cell"], content["step"]) == (2 * 8 + 5, 1)
        found = numbers(content["planes"], heat)
        torch.testing.assert_close(found, expected.heat[0].double(), rtol=0, atol=content["planes"]["step"] * 0.51)
        assert content["most"] == pytest.approx(expected.heat.max().item(), rel=1e-6)
        assert f"within {expected.radius[0]:.0f} pixels" in content["text"]

    def test_a_cell_that_is_not_there_is_refused_in_one_sentence(self, panel, monkeypatch):
        panel.measure(8, 0)
        panel.wait(TIMEOUT_SEC)
        assert panel.status.kind == "error"
        assert panel.status.text == "there is no cell (8, 0); the latent has 8 rows and 8 columns"


class TestAttention:
    def test_maps_are_those_of_the_run_made_again(self, panel, pipeline, run):
        record_attention(panel)
        content, (shares,) = panel.view.delivered("attention")
        expected = walk_words(pipeline, run).over(range(4), size=(8, 8), image=1).double()
        assert content["words"] == ["a", "red", "circle"]
        found = numbers(content["planes"], shares)
        torch.testing.assert_close(found, expected, rtol=0, atol=content["planes"]["step"] * 0.51)
        assert panel.status.text == "Recorded; the run made again is the same, bit for bit."

    def test_a_group_of_layers_alone(self, panel, pipeline, run):
        record_attention(panel)
        before = panel.view.delivered("attention")[1]
        group = panel.layers.options[1][1]
        panel.layers.value = group
        panel.wait(TIMEOUT_SEC)
        content, (shares,) = panel.view.delivered("attention")
        assert [shares] != before
        expected = walk_words(pipeline, run).over(range(4), size=(8, 8), image=1, group=group).double()
        torch.testing.assert_close(numbers(content["planes"], shares), expected, rtol=0, atol=0.01)
        assert f"group=LayerGroup('{group.place}', {group.level})" in panel.code()

    def test_another_run_is_without_words_until_they_are_recorded(self, panel, run):
        record_attention(panel)
        panel.look_at(run)
        panel.wait(TIMEOUT_SEC)
        assert panel.view.delivered("attention") is None
        assert panel.layers.disabled
        assert [label for label, _ in panel.layers.options] == ["all layers"]
        assert panel.layers.label == "all layers"

    def test_recording_can_be_stopped(self, panel, monkeypatch):
        monkeypatch.setattr(panel, "_tell", lambda step: panel.stop())
        panel.record()
        assert panel.wait(TIMEOUT_SEC)
        assert panel.view.delivered("attention") is None
        assert panel.status.text == "The job was cancelled."

    def test_a_run_without_words_says_why(self, session, pipeline):
        settings = TextToImageSettings.of(prompt="", num_steps=2, sampler="ddim")
        with LinkedMicroscopePanel(session, pipeline.carry_out(settings)) as panel:
            panel.wait(TIMEOUT_SEC)
            record_attention(panel)
            assert panel.status.text == "the prompt is empty; attention is shown for each of its words"
            assert panel.status.kind == "error"


class TestErrors:
    def test_without_a_run_there_is_nothing_to_measure(self, session):
        with LinkedMicroscopePanel(session) as panel, pytest.raises(RequestError, match="no run to look at yet"):
            panel.measure(0, 0)

    def test_a_run_of_another_model_is_refused(self, session, run, tiny_model):
        other = Pipeline(tiny_model, origin=Origin(name="other", digest="abc")).carry_out(run.settings)
        with LinkedMicroscopePanel(session, other) as panel:
            panel.wait(TIMEOUT_SEC)
            assert panel.status.text.startswith("the run was made by 'other', and this session holds 'tiny'")
            assert panel.run is None

    def test_a_latent_that_cannot_be_decoded_is_one_sentence(self, session, run):
        def spoil(z):
            z = z.clone()
            z[:, :, 3, 3] = torch.nan
            return z

        last = run.trajectory[-1].map(spoil)
        outcome = dataclasses.replace(run.outcome, trajectory=(*run.trajectory[:-1], last))
        with LinkedMicroscopePanel(session, Run(run.settings, lambda: outcome)) as panel:
            panel.wait(TIMEOUT_SEC)
            assert panel.status.kind == "error"
            assert "not finite" in panel.status.text
            assert "\n" not in panel.status.text
            assert NonFiniteImageError.__name__ in panel.status.details


class TestPanel:
    def test_the_code_measures_the_same(self, panel, run, pipeline, monkeypatch):
        panel.view.set_state({"pinned": [2, 5, 1]})
        record_attention(panel)
        monkeypatch.setattr("ldm_lab.load", lambda name: pipeline, raising=False)
        names = {}
        exec(panel.code(), names)
        expected = ablation_influence(pipeline.model, run.trajectory[1].z_0_pred[1], [(2, 5)])
        torch.testing.assert_close(names["influence"].heat, expected.heat, rtol=0, atol=0)
        assert names["shares"].shape == (4, 3, 8, 8)

    def test_the_picture_shows_the_image_and_the_channels(self, panel, run):
        picture = panel.picture()
        assert picture.height == 16 + 4
        assert picture.width == 4 * 18 + 2
        assert picture.crop((2, 2, 18, 18)).tobytes() == run.images[1].tobytes()
        assert "image/png" in panel.static_bundle()

    def test_panels_leave_nothing_behind(self, session, run, open_widgets):
        before = open_widgets()
        for _ in range(10):
            with LinkedMicroscopePanel(session, run):
                assert open_widgets() > before
        assert open_widgets() == before

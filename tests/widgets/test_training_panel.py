from dataclasses import replace

import pytest

from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.autoencoders.objective import AutoencoderObjectiveConfig
from ldm_lab.data.source import DataConfig
from ldm_lab.session import Progressed
from ldm_lab.training import autoencoder_stage
from ldm_lab.training.autoencoder_stage import AutoencoderRecipe
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.history import History
from ldm_lab.training.presets import DIFFUSION
from ldm_lab.training.state import list_checkpoints
from ldm_lab.widgets import TrainingPanel

TIMEOUT_SEC = 120
SIZES = {"channels": 4, "channel_mult": (1, 2), "num_res_blocks": 1, "norm_groups": 2, "mid_attention": False}
RECIPE = AutoencoderRecipe(
    data=DataConfig(size=16),
    autoencoder=AutoencoderConfig(latent_channels=2, **SIZES),
    objective=AutoencoderObjectiveConfig(perceptual="none", adversarial_weight=0.0),
    training=TrainingConfig(num_steps=6, batch_size=2, save_every=50, sheet_every=3, log_every=1),
)


@pytest.fixture(autouse=True)
def cheap_ends(monkeypatch, tmp_path):
    monkeypatch.setattr(autoencoder_stage, "SCALE_BATCHES", 2)
    monkeypatch.setattr(autoencoder_stage, "HEALTH_IMAGES", 8)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def panel(session):
    with TrainingPanel(session, recipe=RECIPE, folder="run") as panel:
        yield panel


def test_a_run_shows_its_loss_its_samples_and_the_health_of_latents(panel):
    panel.start()
    assert panel.wait(TIMEOUT_SEC)
    assert panel.history.steps == [1, 2, 3, 4, 5, 6]
    assert bytes(panel.plot.value).startswith(b"\x89PNG")
    assert "psnr" in panel.health.value
    assert panel.view.still.startswith(b"\x89PNG")
    assert panel.status.text == "Trained for 6 steps; model: run/model"
    assert panel.result is panel.history


def test_stopped_it_is_gone_on_with_to_the_same_end(panel, session, tmp_path):
    genuine = panel._hear

    def stop_after_two(event):
        genuine(event)
        if isinstance(event, Progressed) and len(panel.history.steps) == 2:
            panel.stop()

    panel._hear = stop_after_two
    panel.start()
    panel.wait(TIMEOUT_SEC)
    assert panel.status.text.startswith("Trained for 2 steps")
    assert len(list_checkpoints(tmp_path / "run" / "checkpoints")) == 1
    assert panel._start.description == "Go on after step 2"
    panel._hear = genuine
    panel.start()
    panel.wait(TIMEOUT_SEC)
    with TrainingPanel(session, recipe=RECIPE, folder="whole") as other:
        other.start()
        other.wait(TIMEOUT_SEC)
    assert History.of("run").losses == History.of("whole").losses


def test_a_run_that_is_there_is_shown_at_once(panel, session):
    panel.start()
    panel.wait(TIMEOUT_SEC)
    with TrainingPanel(session, recipe=RECIPE, folder="run") as other:
        assert other.history.steps[-1] == 6
        assert other.view.still == panel.view.still
        assert other._start.description == "Go on after step 6"


def test_another_recipe_in_the_folder_becomes_a_sentence(panel):
    panel.start()
    panel.wait(TIMEOUT_SEC)
    panel.form.controls["learning_rate"].widget.value = 0.5
    panel.start()
    panel.wait(TIMEOUT_SEC)
    assert panel.status.kind == "error"
    assert "run holds a run with training.learning_rate=0.0001, but now training.learning_rate=0.5" in panel.status.text
    assert not panel._start.disabled


def test_calls_of_others_come_between_two_steps(panel, session):
    heard = []
    genuine = panel._hear

    def hear(event):
        genuine(event)
        if len(panel.history.steps) == 2 and not heard:
            heard.append(session.call(lambda model: len(panel.history.steps)))

    panel._hear = hear
    panel.start()
    panel.wait(TIMEOUT_SEC)
    assert heard[0].result() == 2


def test_closing_ends_the_run_with_a_checkpoint(session, tmp_path):
    panel = TrainingPanel(
        session, recipe=replace(RECIPE, training=replace(RECIPE.training, num_steps=500)), folder="run"
    )
    genuine = panel._hear

    def hear(event):
        genuine(event)
        if len(panel.history.steps) == 3:
            panel.close()

    panel._hear = hear
    job = panel.start()
    job.wait(TIMEOUT_SEC)
    assert History.of("run").steps[-1] == 3
    assert len(list_checkpoints(tmp_path / "run" / "checkpoints")) == 1


def test_another_preset_brings_its_settings_and_folder(session):
    with TrainingPanel(session) as panel:
        assert panel.folder.value == "runs/autoencoder-shapes-kl-f4"
        before = panel.form.read().num_steps
        panel.preset.value = "shapes-class"
        assert panel.folder.value == "runs/diffusion-shapes-class"
        assert panel.form.read().num_steps == DIFFUSION["shapes-class"]().training.num_steps != before
        assert "list(stage.prepare('runs/diffusion-shapes-class/latents'))" in panel.code()


def test_the_static_form_shows_the_samples(panel):
    assert "image/png" not in panel.static_bundle()
    panel.start()
    panel.wait(TIMEOUT_SEC)
    assert "image/png" in panel._repr_mimebundle_()


def test_the_code_trains_the_same(session, monkeypatch):
    from ldm_lab.training import presets

    monkeypatch.setitem(presets.AUTOENCODERS, "shapes-kl-f4", lambda: RECIPE)
    with TrainingPanel(session, folder="run") as panel:
        panel.start()
        panel.wait(TIMEOUT_SEC)
        exec(panel.code().replace("'run'", "'other'"), {})
    assert History.of("other").losses == History.of("run").losses


def test_closed_panels_leave_nothing_behind(session, open_widgets):
    before = open_widgets()
    for _ in range(5):
        TrainingPanel(session).close()
    assert open_widgets() == before

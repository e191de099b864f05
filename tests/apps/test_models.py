"""Which models the page offers, and that those nobody uses leave memory."""

import gc
import shutil
import threading
import weakref
from types import SimpleNamespace

import pytest

from apps.studio import Models
from apps.studio.requests import TASK_OF
from ldm_lab.core.errors import CheckpointError, RequestError
from ldm_lab.tasks.kinds import CLASS, MASKED, TEXT


@pytest.fixture
def two(tiny_folder, tmp_path):
    """The toy model under two names."""
    copy = tmp_path / "tiny-copy"
    shutil.copytree(tiny_folder, copy)
    shutil.copytree(tiny_folder.parent / "tiny-kl", tmp_path / "tiny-kl")
    models = Models([tiny_folder, copy], shipped=False, capacity=1)
    yield models
    models.close()


def test_cards_are_known_before_anything_is_loaded(models):
    assert list(models.cards) == ["tiny-text"]
    assert list(models.stages) == ["tiny-kl"]
    assert models.serving(TEXT) == ["tiny-text"]
    assert models.serving(CLASS) == []
    assert models.loaded == []


def test_shipped_models_are_offered(tiny_folder):
    assert "shapes-text" in Models([tiny_folder]).cards


def test_what_was_brought_stands_first_and_then_the_kind_that_was_named_first(tiny_folder):
    own, shipped = Models([tiny_folder]), Models()
    assert own.serving(MASKED, TEXT) == ["tiny-text", "shapes-inpaint", "shapes-text"]
    assert shipped.serving(TEXT, MASKED) == ["shapes-text", "shapes-inpaint"]


def test_the_model_of_the_first_tab_is_loaded_before_anybody_asks(monkeypatch):
    loaded = []
    models = Models(load=lambda folder, device: loaded.append(folder.name))
    monkeypatch.setattr("apps.studio.models.Session", lambda model, **_: SimpleNamespace(close=lambda: None))
    models.warm_up(*TASK_OF)
    for thread in threading.enumerate():
        if thread.name == "ldm_lab studio warms up":
            thread.join()
    assert loaded == ["shapes-text"]


def test_a_model_is_loaded_once_and_another_takes_its_place(two):
    with two.lent("tiny-text") as first:
        model = weakref.ref(first.model)
    with two.lent("tiny-text") as again:
        assert again is first
    del again
    with two.lent("tiny-copy"):
        assert two.loaded == ["tiny-copy"]
    assert first.is_closed
    del first
    gc.collect()
    assert model() is None  # its memory is free


def test_a_model_in_use_stays(two):
    with two.lent("tiny-text") as first:
        with two.lent("tiny-copy"):
            assert not first.is_closed
        assert not first.is_closed
        assert two.loaded == ["tiny-text"]  # the other one was let go when nobody used it any more


def test_unknown_names_are_refused(models):
    for name in ("x", None, 3, ["tiny-text"]):
        with pytest.raises(RequestError, match="there is no model .* here; choose one of tiny-text"):
            models.card(name)
    with pytest.raises(RequestError, match="there is no first stage 'x' here; choose one of tiny-kl"):
        models.first_stage("x")


def test_folders_must_be_checkpoints_of_different_names(tiny_folder, tmp_path):
    with pytest.raises(CheckpointError, match="there is no folder"):
        Models([tmp_path / "nothing"], shipped=False)
    with pytest.raises(RequestError, match="two folders are called 'tiny-text'"):
        Models([tiny_folder, tiny_folder], shipped=False)
    with pytest.raises(RequestError, match="there is no model to show"):
        Models([tiny_folder.parent / "tiny-kl"], shipped=False)

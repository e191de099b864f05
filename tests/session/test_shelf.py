import pytest

from ldm_lab.core.errors import CheckpointError, RequestError
from ldm_lab.session.shelf import ModelShelf


def test_a_model_is_loaded_once_and_computes_in_the_same_thread(session, settings, tiny_folder):
    shelf = ModelShelf(session)
    other = shelf.session_of(str(tiny_folder))
    assert shelf.session_of(str(tiny_folder)) is other
    assert other is not session
    assert other._worker is session._worker
    run = other.submit(settings(num_steps=2)).result()
    assert run.provenance.model.digest == other.model.origin.digest != ""
    shelf.close()


def test_one_s_own_is_not_loaded(session):
    shelf = ModelShelf(session)
    assert shelf.session_of(None) is shelf.session_of("tiny") is session
    shelf.close()
    assert not session.is_closed


def test_closing_ends_the_others_and_nothing_is_opened_afterwards(session, tiny_folder):
    shelf = ModelShelf(session)
    other = shelf.session_of(str(tiny_folder))
    shelf.close()
    assert other.is_closed
    with pytest.raises(RequestError, match="the shelf is closed, so that 'x' is not opened; open the panel again"):
        shelf.session_of("x")


def test_what_is_no_model_is_refused(session):
    shelf = ModelShelf(session)
    with pytest.raises(CheckpointError, match="nowhere"):
        shelf.session_of("nowhere")
    shelf.close()

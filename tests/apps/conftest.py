"""The page on a server of its own, with a toy model; and how often the long tests repeat what they do."""

import os
import socket

import pytest

from ldm_lab.cli.checkout import import_from_checkout

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install -e '.[app,metrics,text]'")
studio = import_from_checkout("apps.studio", what="the studio")

FULL = "LDM_LAB_FULL" in os.environ


@pytest.fixture(scope="session")
def repeats():
    """How many times a long test repeats: few, or with LDM_LAB_FULL=1 as many as the acceptance figures ask for."""
    return lambda *, quick, full: full if FULL else quick


@pytest.fixture(scope="session")
def free_port():
    def find() -> int:
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            return place.getsockname()[1]

    return find


@pytest.fixture(scope="session")
def make_models(tiny_folder):
    """The toy model and its first stage, without the shipped ones."""
    return lambda **options: studio.Models([tiny_folder, tiny_folder.parent / "tiny-kl"], shipped=False, **options)


@pytest.fixture
def models(make_models):
    models = make_models()
    yield models
    models.close()


@pytest.fixture
def card(models):
    return models.card("tiny-text")


@pytest.fixture(scope="module")  # gone before others look at what a process holds
def served(make_models, free_port):
    """A running studio, and its address."""
    with studio.serve(make_models(), studio.Options(port=free_port())) as page:
        yield page, page.local_url.rstrip("/")


@pytest.fixture(scope="module")
def url(served):
    return served[1]

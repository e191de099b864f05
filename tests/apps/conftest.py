"""The page on a server of its own, with a toy model; and how often the long tests repeat what they do."""

import os

import pytest

from ldm_lab.cli.checkout import import_from_checkout
from tests import serving

gradio = pytest.importorskip("gradio", reason="the studio needs Gradio: pip install -e '.[app,metrics,text]'")
studio = import_from_checkout("apps.studio", what="the studio")

from apps.studio.desks import Desks  # noqa: E402 (which need it)
from tests.apps.tabs import VISITOR  # noqa: E402

FULL = "LDM_LAB_FULL" in os.environ


@pytest.fixture(scope="session")
def repeats():
    """How many times a long test repeats: few, or with LDM_LAB_FULL=1 as many as the acceptance figures ask for."""
    return lambda *, quick, full: full if FULL else quick


@pytest.fixture(scope="session")
def free_port():
    return serving.free_port


@pytest.fixture(scope="session")
def make_models(tiny_folder):
    """The toy model and its first stage, without the shipped ones, and perhaps other folders."""
    folders = [tiny_folder, tiny_folder.parent / "tiny-kl"]
    return lambda *more, **options: studio.Models([*folders, *more], shipped=False, **options)


@pytest.fixture
def models(make_models):
    models = make_models()
    yield models
    models.close()


@pytest.fixture
def card(models):
    return models.card("tiny-text")


@pytest.fixture(scope="session")
def semantic_folder(save_tiny):
    """A toy model that is told the class of every pixel."""
    from ldm_lab.conditioning import SemanticMapConfig

    return save_tiny("tiny-semantic", SemanticMapConfig(num_classes=4, num_halvings=1))


@pytest.fixture
def open_tab(make_models):
    """Makes a tab of a page with some models: the tab, and the desk of its visitor."""
    opened = []

    def open(tab, *folders):
        opened.append(make_models(*folders, capacity=3))
        desks = Desks()
        with gradio.Blocks():
            return tab(opened[-1], desks), desks.of(VISITOR.session_hash)

    yield open
    for models in opened:
        models.close()


@pytest.fixture(scope="module")  # gone before others look at what a process holds
def served(make_models, free_port, layout_folder, upscaling_folder, semantic_folder):
    """A running studio with a model for every tab and one for programs alone, and its address."""
    models = make_models(layout_folder, upscaling_folder, semantic_folder, capacity=4)
    with studio.serve(models, studio.Options(port=free_port())) as page:
        yield page, page.local_url.rstrip("/")


@pytest.fixture(scope="module")
def url(served):
    return served[1]

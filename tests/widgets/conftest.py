import pytest
from ipywidgets.widgets import widget as registry

from ldm_lab.core.errors import RequestError
from ldm_lab.session import Session
from ldm_lab.tasks import Origin, Pipeline
from tests.session.conftest import Gate

TIMEOUT_SEC = 120  # of tests that would otherwise hang; nothing is measured by it


@pytest.fixture
def session(tiny_model):
    with Session(Pipeline(tiny_model, origin=Origin(name="tiny"))) as session:
        yield session


@pytest.fixture
def open_widgets():
    """The ids of all widgets that are open; ipywidgets keeps them until they are closed."""
    return lambda: set(registry._instances)


@pytest.fixture(autouse=True)
def nothing_is_left_open(open_widgets):
    """A panel that a test leaves behind would count in the next one."""
    before = open_widgets()
    yield
    for model_id in open_widgets() - before:
        registry._instances[model_id].close()


@pytest.fixture
def refusing():
    """A function that fails with a sentence of ours."""

    def refuse(*_):
        raise RequestError("no, because the test says so")

    return refuse


@pytest.fixture
def gated(make_tiny_model):
    """A session whose network waits for the test at every evaluation."""
    model = make_tiny_model()
    gate = Gate(model)
    with Session(Pipeline(model, origin=Origin(name="gated"))) as session:
        yield session, gate
        gate.let_pass(10_000)

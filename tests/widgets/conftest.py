import pytest
from ipywidgets.widgets import widget as registry


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

"""JupyterLab and Chromium are started once for all browser tests; each test has a notebook of its own."""

import importlib.util
import itertools

import pytest

from tests.browser.jupyter import Notebook, chromium, find_chromium, jupyter_lab

NEEDED = ("jupyterlab", "anywidget")

SETUP = """
import ldm_lab as lab
from ldm_lab.widgets import *
session = lab.Session(lab.load({folder!r}))
"""


@pytest.fixture(scope="session")
def browser():
    """The one browser of all tests, since Playwright runs once in a thread; skips where there is none."""
    if importlib.util.find_spec("playwright") is None or find_chromium() is None:
        pytest.skip("needs playwright and a Chromium; on Debian apt-get install chromium")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab_url(tmp_path_factory):
    """A JupyterLab of its own; skips where something is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("lab")
    with jupyter_lab(folder) as url:
        yield url, folder


@pytest.fixture(scope="session")
def open_notebook(browser, lab_url, tiny_folder):
    """Opens notebooks whose first cell loads a tiny model, and runs them: ``open_notebook(cell, …)``."""
    url, folder = lab_url
    opened, numbers = [], itertools.count()

    def open(*cells, size=(1280, 900)):
        code = [SETUP.format(folder=str(tiny_folder)), *cells]
        notebook = Notebook.open(browser, url, folder, code, name=f"test-{next(numbers)}", size=size)
        opened.append(notebook)
        notebook.run_all()
        return notebook

    yield open
    for notebook in opened:
        notebook.close()

import threading

import numpy as np
import pytest
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.session import Session
from ldm_lab.tasks import Origin, Pipeline, TextToImageSettings


def ask(**values):
    asked = {"prompt": "a large red circle", "num_steps": 4, "sampler": "ddim", "seeds": [1], "guidance_scale": 3.0}
    return TextToImageSettings.of(**(asked | values))


class Gate:
    """Lets a model's evaluations pass one by one, and counts them; the worker is where the test wants it."""

    def __init__(self, model):
        self.count = 0
        self._genuine, self._model = model.unet._walk, model
        self._entered, self._open = threading.Semaphore(0), threading.Semaphore(0)
        model.unet._walk = self._walk

    def _walk(self, *args):
        self.count += 1
        self._entered.release()
        assert self._open.acquire(timeout=60)
        return self._genuine(*args)

    def wait_inside(self):
        """Wait until the worker stands inside an evaluation."""
        assert self._entered.acquire(timeout=60)

    def let_pass(self, count=1):
        for _ in range(count):
            self._open.release()


@pytest.fixture
def settings():
    return ask


@pytest.fixture
def pipeline(tiny_model):
    return Pipeline(tiny_model, origin=Origin(name="tiny"))


@pytest.fixture
def session(pipeline):
    with Session(pipeline) as session:
        yield session


@pytest.fixture
def gated(make_tiny_model):
    """A session whose network waits for the test at every evaluation."""
    model = make_tiny_model()
    gate = Gate(model)
    with Session(Pipeline(model, origin=Origin(name="gated"))) as session:
        yield session, gate
        gate.let_pass(10_000)


@pytest.fixture
def refusing():
    """A function that fails with a sentence of ours."""

    def refuse(*_):
        raise RequestError("no, because the test says so")

    return refuse


@pytest.fixture(scope="session")
def picture():
    """A picture of the size that tiny models make."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))

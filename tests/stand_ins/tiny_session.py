"""Sessions of a tiny model, for the tests of sessions and of the panels around them."""

import threading

import pytest

from ldm_lab.core.errors import RequestError


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


def open_session(model, *, name):
    from ldm_lab.session import Session  # not for tests of rooms to the left, which would wait for its import
    from ldm_lab.tasks import Origin, Pipeline

    return Session(Pipeline(model, origin=Origin(name=name)))


@pytest.fixture
def session(tiny_model):
    with open_session(tiny_model, name="tiny") as session:
        yield session


@pytest.fixture
def gated(make_tiny_model):
    """A session whose network waits for the test at every evaluation."""
    model = make_tiny_model()
    gate = Gate(model)
    with open_session(model, name="gated") as session:
        yield session, gate
        gate.let_pass(10_000)


@pytest.fixture
def refusing():
    """A function that fails with a sentence of ours."""

    def refuse(*_):
        raise RequestError("no, because the test says so")

    return refuse

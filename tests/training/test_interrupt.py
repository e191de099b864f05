import signal
import threading

import pytest

from ldm_lab.training.interrupt import deferred_signals


class Stopped(BaseException):
    pass


def stop(number, frame):
    raise Stopped(number)


@pytest.fixture
def with_handler():
    previous = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, previous)


@pytest.mark.usefixtures("with_handler")
@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Stopped)])
def test_a_signal_waits_for_the_end_of_the_block(number, error):
    done = []

    def block():
        with deferred_signals():
            signal.raise_signal(number)
            done.append("the rest of the step")
        done.append("never")

    with pytest.raises(error):
        block()
    assert done == ["the rest of the step"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is stop


def test_the_second_signal_does_not_wait():
    done = []

    def block():
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            done.append("after the first")
            signal.raise_signal(signal.SIGINT)
            done.append("after the second")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["after the first"]


def test_an_error_of_the_block_comes_first():
    def block():
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("from the block")

    with pytest.raises(ValueError, match="from the block"):
        block()


def test_termination_without_a_handler_is_left_alone():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with deferred_signals():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    signal.signal(signal.SIGTERM, before)


def test_other_threads_are_left_alone():
    seen = []

    def work():
        with deferred_signals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]

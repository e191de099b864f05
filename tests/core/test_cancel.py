import threading

import pytest

from ldm_lab.core.cancel import CancelledError, CancelToken, cancellable, check_cancelled


def test_without_a_token_nothing_is_cancelled():
    check_cancelled()


def test_work_ends_where_it_looks():
    token, done = CancelToken(), []

    def work():
        for piece in range(5):
            check_cancelled()
            done.append(piece)
            if piece == 2:
                token.cancel()

    with pytest.raises(CancelledError, match="the work was cancelled"), cancellable(token):
        work()
    assert done == [0, 1, 2]
    assert token.is_cancelled
    check_cancelled()  # outside, the token is no longer looked at


def test_the_inner_token_is_the_one_that_counts():
    outer, inner = CancelToken(), CancelToken()
    outer.cancel()
    with cancellable(outer):
        with cancellable(inner):
            check_cancelled()
        with pytest.raises(CancelledError):
            check_cancelled()


def test_a_token_is_looked_at_in_its_own_thread_alone():
    token, found = CancelToken(), []
    token.cancel()

    def look():
        check_cancelled()
        found.append("not cancelled")

    with cancellable(token):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert found == ["not cancelled"]

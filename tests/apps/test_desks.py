"""What is remembered of visitors: theirs alone, for a time."""

import pytest

from apps.studio.desks import KEPT_SEC, MAX_DESKS, Desks
from ldm_lab.core.errors import RequestError


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class StandIn:
    """A job that says what was done to it."""

    def __init__(self):
        self.done = []

    def stop(self):
        self.done.append("stop")

    def cancel(self):
        self.done.append("cancel")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desks(clock):
    return Desks(clock=clock)


def test_everybody_has_a_desk_of_their_own(desks):
    desks.of("a").runs["create"] = "run of a"
    assert desks.of("b").runs == {}
    assert desks.of("a").runs == {"create": "run of a"}


def test_who_leaves_takes_everything_along(desks):
    desk, job = desks.of("a"), StandIn()
    desk.jobs["create"] = job
    desk.runs["create"] = "run"
    desks.drop("a")
    assert job.done == ["cancel"]
    assert desk.runs == {}
    assert desk.stopped == {"create"}  # so that a grid does not begin its next cell
    assert len(desks) == 0
    desks.drop("a")  # and nothing happens


def test_stop_concerns_one_tab(desks):
    desk = desks.of("a")
    desk.jobs |= {"create": StandIn(), "inpaint": StandIn()}
    desk.stop("create")
    desk.stop("grid")
    assert desk.jobs["create"].done == ["stop"]
    assert desk.jobs["inpaint"].done == []


def test_after_an_hour_a_desk_is_cleared(desks, clock):
    old = desks.of("old")
    old.runs["create"] = "run"
    clock.now = KEPT_SEC + 1
    desks.of("new")
    assert len(desks) == 1
    assert old.runs == {}


def test_nobody_has_to_come_for_that(desks, clock):
    old = desks.of("old")
    old.runs["create"] = "run"
    clock.now = KEPT_SEC - 1
    desks.sweep()
    assert desks.of("old") is old
    clock.now = 2 * KEPT_SEC
    desks.sweep()
    assert (len(desks), old.runs) == (0, {})


def test_the_last_run_of_a_tab_or_a_sentence(desks):
    desk = desks.of("a")
    with pytest.raises(RequestError, match="there is no image yet; make one in the tab Create"):
        desk.last_run("create")
    desk.runs["create"] = "run"
    assert desk.last_run("create") == "run"


def test_of_too_many_the_one_used_longest_ago_goes(desks):
    first = desks.of("0")
    for number in range(MAX_DESKS + 1):
        desks.of(str(number))
        desks.of("0")
    assert len(desks) == MAX_DESKS
    assert desks.of("0") is first

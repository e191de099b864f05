"""Two callables timed in turns, so that whatever the machine is doing happens to both."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

SHORTEST_SAMPLE_SEC = 0.2  # faster callables are repeated within a sample


@dataclass(frozen=True)
class Samples:
    """One number of each side a round, in a unit where less is better."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def median_ours(self) -> float:
        return statistics.median(self.ours)

    @property
    def median_theirs(self) -> float:
        return statistics.median(self.theirs)

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times as much theirs takes, round by round: drift of the machine cancels within a round."""
        return tuple(theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True))

    @property
    def median_ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The middle half of the ratios: first and third quartile."""
        if len(self.ratios) < 2:
            return self.ratios[0], self.ratios[0]
        first, _, third = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return first, third


def turns(rounds: int) -> Iterator[tuple[str, str]]:
    """Who goes first: ours, theirs | theirs, ours | … so that neither profits from its place."""
    for number in range(rounds):
        yield ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours")


def measure(ours: Callable[[], float], theirs: Callable[[], float], *, rounds: int) -> Samples:
    """Take one sample of each side in every round."""
    sides: dict[str, Callable[[], float]] = {"ours": ours, "theirs": theirs}
    found: dict[str, list[float]] = {name: [] for name in sides}
    for order in turns(rounds):
        for name in order:
            found[name].append(sides[name]())
    return Samples(tuple(found["ours"]), tuple(found["theirs"]))


def stopwatch(function: Callable[[], Any], *, repeats: int) -> Callable[[], float]:
    """A sample of a function's time in seconds: the mean of ``repeats`` calls."""

    def sample() -> float:
        begin = time.perf_counter()
        for _ in range(repeats):
            function()
        return (time.perf_counter() - begin) / repeats

    return sample


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], *, rounds: int) -> Samples:
    """Time two functions that are warm; those that are too quick for the clock are repeated, both as often."""
    once = [stopwatch(function, repeats=1)() for function in (ours, theirs)]
    repeats = max(1, round(SHORTEST_SAMPLE_SEC / max(once)))
    return measure(stopwatch(ours, repeats=repeats), stopwatch(theirs, repeats=repeats), rounds=rounds)

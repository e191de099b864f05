"""Judge readings of images against what captions ask for, attribute by attribute."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from ldm_lab.core.errors import DataError
from ldm_lab.data.captions import Asked, AskedObject, all_attributes
from ldm_lab.data.scenes import Scene, relation_word
from ldm_lab.evaluation.scene_reader import Reading, ReadObject

KINDS = ("shape", "color", "size", "relation", "place", "background", "count")

Verdict = tuple[tuple[str, bool], ...]  # (kind, is it right) of every attribute asked for


@dataclass(frozen=True, slots=True)
class Score:
    """The verdicts on a set of images, one for each."""

    verdicts: tuple[Verdict, ...]

    def counts(self) -> dict[str, tuple[int, int]]:
        """For each kind of attribute: how many were right, how many were asked for."""
        flat = [item for verdict in self.verdicts for item in verdict]
        asked = {kind: [right for name, right in flat if name == kind] for kind in KINDS}
        return {kind: (sum(rights), len(rights)) for kind, rights in asked.items()}

    def accuracy(self, *kinds: str) -> float:
        """Right attributes / asked attributes, of the given kinds or of all; NaN if none was asked for."""
        counts = self.counts()
        right, asked = (sum(counts[kind][i] for kind in kinds or KINDS) for i in (0, 1))
        return right / asked if asked else float("nan")

    @property
    def wholly_right(self) -> float:
        """Share of images on which every attribute is right."""
        whole = [all(right for _, right in verdict) for verdict in self.verdicts]
        return sum(whole) / len(whole) if whole else float("nan")


def score(readings: Sequence[Reading], asked: Sequence[Asked]) -> Score:
    """Judge images made from captions: ``asked`` is ``caption.asked`` of each.

    Raises:
        DataError: If there are not as many readings as captions.
    """
    if len(readings) != len(asked):
        raise DataError(f"there are {len(readings)} readings for {len(asked)} descriptions; give one for each")
    return Score(tuple(judge(reading, wanted) for reading, wanted in zip(readings, asked, strict=True)))


def agreement(readings: Sequence[Reading], scenes: Sequence[Scene]) -> Score:
    """Judge reconstructions: every attribute of the true scene is asked for."""
    return score(readings, [all_attributes(scene) for scene in scenes])


def judge(reading: Reading, asked: Asked) -> Verdict:
    """Judge one image under the assignment of seen to asked objects that makes most attributes right.

    All attributes of a missing object are wrong, and so is a relation to it. A superfluous object spoils the count.
    """
    missing = [None] * len(asked.objects)
    assignments = permutations([*reading.objects, *missing], len(asked.objects))
    best = max(
        (_judge_objects(seen, asked) for seen in assignments), key=lambda verdict: sum(right for _, right in verdict)
    )
    scenery = [("count", len(reading.objects) == len(asked.objects))]
    if asked.background is not None:
        scenery.append(("background", reading.background == asked.background))
    return (*best, *scenery)


def _judge_objects(seen: Sequence[ReadObject | None], asked: Asked) -> Verdict:
    verdict = [item for pair in zip(seen, asked.objects, strict=True) for item in _judge_object(*pair)]
    if asked.relation is not None:
        complete = all(item is not None for item in seen)
        verdict.append(("relation", complete and relation_word(*seen) == asked.relation))
    return tuple(verdict)


def _judge_object(seen: ReadObject | None, asked: AskedObject) -> Verdict:
    wanted = [(kind, getattr(asked, kind)) for kind in ("shape", "color", "size", "place")]
    return tuple((kind, getattr(seen, kind, None) == value) for kind, value in wanted if value is not None)

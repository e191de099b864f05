"""Right and asked-for attributes, counted kind by kind, and how tables show them."""

from itertools import pairwise

from ldm_lab.evaluation.attribute_score import KINDS, Score

GOAL_KINDS = ("shape", "color", "size", "relation", "background")

Count = tuple[int, int]  # (right, asked)
Tally = dict[str, Count]


def tally(score: Score) -> Tally:
    """Count a score by kind of attribute, over several kinds together, over pairs, and over whole images."""
    counts = score.counts()
    whole = [all(right for _, right in verdict) for verdict in score.verdicts if verdict]
    return counts | {
        "shape and color": _pairs(score),
        "goal attributes": _sum(counts, GOAL_KINDS),
        "all attributes": _sum(counts, KINDS),
        "wholly right": (sum(whole), len(whole)),
    }


def share(count: Count) -> float:
    """Right / asked; NaN where nothing was asked."""
    right, asked = count
    return right / asked if asked else float("nan")


def spell(count: Count) -> str:
    """A percentage with the numbers behind it; a dash where nothing was asked."""
    return f"{100 * share(count):.1f} % ({count[0]}/{count[1]})" if count[1] else "–"


def _pairs(score: Score) -> Count:
    """Objects whose shape and colour are both right: verdicts hold the colour of an object right after its shape."""
    steps = (step for verdict in score.verdicts for step in pairwise(verdict))
    both = [shape and color for (kind, shape), (after, color) in steps if (kind, after) == ("shape", "color")]
    return sum(both), len(both)


def _sum(counts: Tally, kinds: tuple[str, ...]) -> Count:
    return sum(counts[kind][0] for kind in kinds), sum(counts[kind][1] for kind in kinds)

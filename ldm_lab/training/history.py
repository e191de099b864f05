"""What a run has logged so far and what comes of it, for those who watch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from ldm_lab.training.stage import TrainStep

BASE = ("step", "loss", "lr", "grad_norm")
MAX_POINTS = 400
MEMORY = 0.95  # of the smoothed loss for what it was a step before


class History:
    """Losses by step, and the health figures at the steps that measure them.

    Attributes:
        steps: Numbers of the steps, from 1.
        losses: Of each.
        figures: Of each figure its steps and values.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.figures: dict[str, list[tuple[int, float]]] = {}

    @classmethod
    def of(cls, folder: str | Path) -> Self:
        """That of the run in a folder, empty if there is none; a line that was not written to its end is left out."""
        history, path = cls(), Path(folder) / "log.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        records = [record for line in lines if (record := _parse(line)) is not None]
        everywhere = set.intersection(*map(set, records)) if records else set()
        for record in records:
            history._note(record["step"], record["loss"])
            for name in record.keys() - everywhere - set(BASE):
                history._figure(name, record["step"], record[name])
        return history

    def add(self, step: TrainStep) -> None:
        """Take a step that was just done."""
        number = step.index + 1
        self._note(number, step.loss)
        for name, value in step.figures.items():
            self._figure(name, number, value)

    def curves(self) -> tuple[list[int], dict[str, list[float]]]:
        """Steps, and at each the loss and its exponential average; of long runs every n-th, and the last."""
        smooth = _smoothed(self.losses)
        stride = max(1, -(-len(self.steps) // MAX_POINTS))
        kept = sorted({*range(0, len(self.steps), stride), *[len(self.steps) - 1] * bool(self.steps)})
        lines = {"loss": self.losses, "smoothed": smooth}
        return [self.steps[i] for i in kept], {name: [line[i] for i in kept] for name, line in lines.items()}

    @property
    def health(self) -> dict[str, float]:
        """The newest value of each figure."""
        return {name: points[-1][1] for name, points in self.figures.items()}

    def _note(self, number: int, loss: float) -> None:
        """A step that is done anew after a kill takes the place of what was logged of it and after it."""
        while self.steps and self.steps[-1] >= number:
            self.steps.pop(), self.losses.pop()
        self.steps.append(number)
        self.losses.append(loss)

    def _figure(self, name: str, number: int, value: float) -> None:
        earlier = [point for point in self.figures.get(name, []) if point[0] < number]
        self.figures[name] = [*earlier, (number, value)]


def newest_sheet(folder: str | Path) -> Path | None:
    """The newest picture of what the weights of a run can do; None: there is none yet."""
    return max((Path(folder) / "sheets").glob("step-*.png"), default=None)


def _parse(line: str) -> dict[str, float] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and {"step", "loss"} <= record.keys() else None


def _smoothed(values: Sequence[float]) -> list[float]:
    smooth: list[float] = []
    for value in values:
        smooth.append(value if not smooth else MEMORY * smooth[-1] + (1.0 - MEMORY) * value)
    return smooth

"""The report on a model's task: figures beside their bars, and beside other ways to the same images."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.config import to_dict
from ldm_lab.core.images import to_pil
from ldm_lab.evaluation.judges import Judge, judge_of
from ldm_lab.evaluation.progress import OnProgress, counted
from ldm_lab.evaluation.report import Table
from ldm_lab.evaluation.sampling import sample_conditions
from ldm_lab.evaluation.sheet import captioned_sheet
from ldm_lab.evaluation.trial import Figure, Trial
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.kinds import kind_of
from ldm_lab.tasks.settings import GuidedSettings

MADE = "model"
SHEET_IMAGES = 16


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What came of a trial.

    Attributes:
        title: What was tried.
        num_images: How many images were made.
        columns: Figures of the model's images, then of each rival's.
        figures: How they are spelled, and their bars.
        sheet: The first images, beside pictures of their conditions.
    """

    title: str
    num_images: int
    columns: dict[str, dict[str, float]]
    figures: dict[str, Figure]
    sheet: Image.Image = field(repr=False)

    @property
    def unmet(self) -> list[str]:
        """Names of the figures that do not reach their bars."""
        return [name for name, figure in self.figures.items() if not figure.is_met(self.columns[MADE][name])]

    def table(self) -> Table:
        """A row for each figure."""
        header = (f"{self.title} ({self.num_images} images)", *self.columns, "bar")
        return Table(header=header, rows=tuple(self._row(name) for name in self.figures))

    def _row(self, name: str) -> tuple[str, ...]:
        figure = self.figures[name]
        return (name, *(figure.spell(column[name]) for column in self.columns.values()), figure.bar)


@dataclass(frozen=True, kw_only=True)
class TaskReport:
    """All trials of a model.

    Attributes:
        name: Of the model.
        words: What kind of model it is.
        is_guided: Whether its kind knows a null condition to be guided away from.
        settings: With which the images were made; image i has seed i.
        results: Of each trial.
    """

    name: str
    words: str
    is_guided: bool
    settings: GuidedSettings
    results: tuple[TrialResult, ...]

    @property
    def title(self) -> str:
        """Headline."""
        return f"{self.name}, a model that is {self.words}"

    def tables(self) -> list[Table]:
        """One for each trial."""
        return [result.table() for result in self.results]

    def notes(self) -> list[str]:
        """How the images were made, and which bars they do not reach."""
        asked = self.settings
        guidance = f", guidance {asked.guidance_scale:g}" if self.is_guided else ""
        made = f"{asked.num_steps} steps of {asked.sampler}{guidance}; image i has seed i"
        unmet = [f"{name} ({result.title})" for result in self.results for name in result.unmet]
        return [made, f"below the bar: {'; '.join(unmet)}" if unmet else "every bar is reached"]

    def values(self) -> dict[str, Any]:
        """Everything but the sheets."""
        results = [
            {
                "title": result.title,
                "num_images": result.num_images,
                "columns": result.columns,
                "bars": {name: asdict(figure) for name, figure in result.figures.items()},
            }
            for result in self.results
        ]
        return {"name": self.name, "settings": to_dict(self.settings), "trials": results}

    def sheets(self) -> dict[str, Image.Image]:
        """A sheet for each trial, by file name."""
        return {f"sheet-{number}.png": result.sheet for number, result in enumerate(self.results, 1)}


def evaluate_task(
    pipeline: Pipeline,
    *,
    judge: Judge | None = None,
    num_images: int = 500,
    on_progress: OnProgress | None = None,
    **settings: Any,
) -> TaskReport:
    """Judge a model by the task that it was trained for.

    Args:
        pipeline: The model.
        judge: Who judges it. None: who judges its kind on the built-in scenes, which is for any kind but text, since
            ``evaluate_text_model`` has that.
        num_images: How many images, of 64 px; of larger ones fewer.
        on_progress: Called after every batch with the number of images done.
        **settings: Of ``GuidedSettings``; what is not given is as the model recommends.

    Raises:
        RequestError: If a setting is not accepted, or nobody judges this kind of model.
    """
    judge = judge or judge_of(pipeline.model)
    resolved = pipeline.resolved(GuidedSettings.of(**settings))
    results, done = [], 0
    for trial in judge(pipeline, num_images, resolved):
        results.append(_carried_out(trial, pipeline, resolved, on_progress, done=done))
        done += len(trial.conditions)
    model = pipeline.model
    return TaskReport(
        name=pipeline.name,
        words=kind_of(model).words,
        is_guided=model.conditioner is not None and model.conditioner.has_null,
        settings=resolved,
        results=tuple(results),
    )


def _carried_out(
    trial: Trial, pipeline: Pipeline, settings: GuidedSettings, on_progress: OnProgress | None, *, done: int
) -> TrialResult:
    if trial.size is not None:
        settings = replace(settings, width=trial.size[0], height=trial.size[1])
    x = torch.cat(list(counted(sample_conditions(pipeline, trial.conditions, settings), on_progress, done=done)))
    x = x if trial.finish is None else trial.finish(x)
    return TrialResult(
        title=trial.title,
        num_images=len(x),
        columns={words: trial.measure(images) for words, images in {MADE: x, **trial.rivals}.items()},
        figures=dict(trial.figures),
        sheet=_sheet(trial, x),
    )


def _sheet(trial: Trial, x: Tensor) -> Image.Image:
    """The first images, each after the picture of its condition and before what belongs beside it: not chosen."""
    count = min(len(trial.shown) or SHEET_IMAGES, len(x))
    made = to_pil(x[:count])
    captions = list(trial.captions[:count]) or [""] * count
    if not trial.shown:
        return captioned_sheet(made, captions)
    columns = [list(zip(trial.shown, captions, strict=False)), [(picture, "made") for picture in made]]
    if trial.beside is not None:
        columns.append(list(trial.beside(x[:count])))
    cells = [cell for row in zip(*columns, strict=False) for cell in row]
    images, words = zip(*cells, strict=True)
    return captioned_sheet(images, words, columns=2 * len(columns))

"""Reports on tasks: what was made is measured beside its rivals, and what is below the bar is named."""

import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.evaluation import judges, task_report
from ldm_lab.evaluation.report import circumstances, render
from ldm_lab.evaluation.task_report import evaluate_task
from ldm_lab.evaluation.trial import Figure, Trial
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.kinds import UNCONDITIONAL


@pytest.fixture
def pipeline(make_tiny_model):
    return Pipeline(make_tiny_model(conditioner=None))


@pytest.fixture
def brightness_judge(monkeypatch):
    """Two trials: the mean value of small images, and of large ones that are painted white in the end."""

    def judge(pipeline, num_images, settings):
        def measure(x):
            return {"brightness": x.mean().item(), "width": float(x.shape[3])}

        figures = {"brightness": Figure(at_least=0.99), "width": Figure()}
        rivals = {"black": torch.full((num_images, 3, 16, 16), -1.0)}
        nothing = [None] * num_images
        yield Trial(title="as they are", conditions=nothing, measure=measure, figures=figures, rivals=rivals)
        yield Trial(
            title="painted over",
            conditions=nothing,
            measure=measure,
            figures=figures,
            size=(32, 16),
            finish=torch.ones_like,
        )

    monkeypatch.setitem(judges.JUDGES, UNCONDITIONAL, judge)


def test_columns_rivals_bars_and_sizes(pipeline, brightness_judge):
    progress = []
    report = evaluate_task(pipeline, num_images=3, num_steps=2, on_progress=progress.append)
    first, second = report.results
    assert progress == [3, 6]
    assert first.columns["black"] == {"brightness": -1.0, "width": 16.0}
    assert first.columns["model"]["brightness"] < 0.9
    assert first.unmet == ["brightness"]
    assert second.columns == {"model": {"brightness": 1.0, "width": 32.0}}
    assert second.unmet == []


def test_the_report_says_what_is_below_the_bar(pipeline, brightness_judge):
    report = evaluate_task(pipeline, num_images=2, num_steps=2)
    text = render(report, circumstances("ldm-lab evaluate", device="cpu"))
    assert "below the bar: brightness (as they are)" in text
    assert "| as they are (2 images) |" in text
    assert "2 steps of" in text
    assert "guidance" not in text  # an unconditional model has none
    assert report.values()["trials"][1]["bars"]["brightness"]["at_least"] == 0.99
    assert set(report.sheets()) == {"sheet-1.png", "sheet-2.png"}


def test_a_text_model_is_judged_elsewhere(tiny_model):
    with pytest.raises(RequestError, match="the model is conditioned on text"):
        evaluate_task(Pipeline(tiny_model), num_images=2)


def test_another_judge_may_be_named(tiny_model):
    def judge(pipeline, num_images, settings):
        yield Trial(title="words", conditions=["red"] * num_images, measure=lambda x: {}, figures={})

    report = evaluate_task(Pipeline(tiny_model), judge=judge, num_images=2, num_steps=1)
    assert (report.words, report.results[0].num_images) == ("conditioned on text", 2)


@pytest.fixture
def seen(monkeypatch):
    """Sizes of the pictures on a sheet and their words, in order, and the number of columns."""
    found = {}

    def sheet(images, captions, *, columns=4):
        found.update(cells=[(image.width, words) for image, words in zip(images, captions, strict=True)])
        found.update(columns=columns)

    monkeypatch.setattr(task_report, "captioned_sheet", sheet)
    return found


@pytest.mark.parametrize("has_neighbours", [False, True])
def test_pictures_of_conditions_stand_before_what_was_made_of_them(seen, has_neighbours):
    def beside(x):
        return [(Image.new("RGB", (2, 2)), f"near {index}") for index in range(len(x))]

    trial = Trial(
        title="",
        conditions=[None] * 3,
        measure=lambda x: {},
        figures={},
        shown=[Image.new("RGB", (4, 4))] * 2,
        captions=["a", "b", "c"],
        beside=beside if has_neighbours else None,
    )
    task_report._sheet(trial, torch.zeros(3, 3, 8, 8))
    if has_neighbours:
        assert seen["cells"] == [(4, "a"), (8, "made"), (2, "near 0"), (4, "b"), (8, "made"), (2, "near 1")]
        assert seen["columns"] == 6
    else:
        assert seen["cells"] == [(4, "a"), (8, "made"), (4, "b"), (8, "made")]
        assert seen["columns"] == 4


def test_without_pictures_what_was_made_stands_above_its_words(seen):
    trial = Trial(title="", conditions=[None] * 2, measure=lambda x: {}, figures={}, captions=["a", "b"])
    task_report._sheet(trial, torch.zeros(2, 3, 8, 8))
    assert seen["cells"] == [(8, "a"), (8, "b")]

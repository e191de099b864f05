"""``ldm-lab evaluate``: the figures of a first stage or of a model, with what is needed to get them again."""

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import tyro
from PIL import Image
from tqdm import tqdm

from ldm_lab.api import load
from ldm_lab.checkpoints import (
    Checkpoint,
    load_autoencoder,
    locate_first_stage,
    locate_model,
    read_checkpoint,
    shipped_first_stages,
)
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import save_png
from ldm_lab.core.runtime import choose_device
from ldm_lab.data.source import DataConfig, World, held_out_source, num_distinct
from ldm_lab.evaluation.emoji_sheets import emoji_sheets
from ldm_lab.evaluation.first_stages import FirstStagesReport
from ldm_lab.evaluation.judges.emoji import judge_emoji
from ldm_lab.evaluation.reconstruction import FirstStageReport, evaluate_first_stage
from ldm_lab.evaluation.report import Report, circumstances, render, write_report
from ldm_lab.evaluation.task_report import evaluate_task
from ldm_lab.evaluation.text_alignment import evaluate_text_model
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.kinds import TEXT, kind_of
from ldm_lab.training.conditioner_choice import Task
from ldm_lab.training.presets import PRESET_OF_TASK

FIRST_STAGES = "first-stages"
SHEETS = {"test": "sheet-seen.png", "unseen": "sheet-never-trained.png"}

Found = tuple[Report, Callable[[], Mapping[str, Image.Image]]]  # and what makes sheets by file name, if asked to


def evaluate(
    model: tyro.conf.Positional[str | None] = None,
    *,
    task: Task | Literal["first-stages"] | None = None,
    num: int = 500,
    output: Path | None = None,
    data: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    device: str = "auto",
) -> None:
    """Measure a first stage by its reconstructions, or a model by what is seen in its images.

    Args:
        model: Name of a shipped first stage or model, or a folder.
        task: Instead of a model: the shipped one of a task, or all shipped first stages of shapes beside each other.
        num: Images; for a text model captions of seen pairs, and as many of never-trained ones; of emoji at most those
            that there are.
        output: Folder for report.md, report.json and sheets of the first images; None writes nothing.
        data: First stage: a folder of pictures; None takes the test scenes, or the emoji that training never saw.
        steps: Sampling steps; None takes what the model recommends.
        guidance: Guidance scale; None takes what the model recommends.
        sampler: How the walk is taken; None takes what the model recommends.
        device: auto, cpu, cuda or mps.
    """
    if num < 2:
        raise RequestError(f"num is {num}; give at least 2")
    settings = {"num_steps": steps, "guidance_scale": guidance, "sampler": sampler}
    report, sheets = _measured(model, task, num, data, settings, device)
    made = circumstances(shlex.join(["ldm-lab", *sys.argv[1:]]), device=device)
    print(render(report, made))
    if output is not None:
        write_report(output, report, made)
        for name, sheet in sheets().items():
            save_png(output / name, sheet)


def _measured(
    model: str | None, task: str | None, num: int, data: str | None, settings: dict[str, Any], device: str
) -> Found:
    """What was found, by what the folder holds."""
    if task == FIRST_STAGES and model is None:
        return _first_stages(num, data, device), dict
    checkpoint = read_checkpoint(_locate(model, task))
    if checkpoint.kind == "autoencoder":
        return _first_stage(checkpoint, num, data, device), dict
    return _model(load(checkpoint.folder, device=device), num, settings, world=_world(checkpoint))


def _locate(model: str | None, task: str | None) -> Path:
    """The folder of what is asked for, by its own name or by its task's."""
    if (model is None) == (task is None):
        raise RequestError(
            "nothing is named to evaluate; give a model, or --task and the name of a task"
            if model is None
            else f"both the model {model!r} and the task {task!r} are given; a model tells its task, give one of them"
        )
    name = PRESET_OF_TASK[task] if model is None else model
    return locate_first_stage(name) if name in shipped_first_stages() else locate_model(name)


def _world(checkpoint: Checkpoint) -> World:
    """What a model was trained to draw."""
    return checkpoint.entry("recipe").get("data", {}).get("world", "shapes")


def _first_stages(num: int, data: str | None, device: str) -> FirstStagesReport:
    found = [read_checkpoint(locate_first_stage(name)) for name in shipped_first_stages()]
    checkpoints = [checkpoint for checkpoint in found if _world(checkpoint) == "shapes"]  # others have other images
    return FirstStagesReport(
        reports=[_first_stage(checkpoint, num, data, device) for checkpoint in checkpoints],
        configs={checkpoint.name: load_autoencoder(checkpoint).config for checkpoint in checkpoints},
    )


def _first_stage(checkpoint: Checkpoint, num: int, data: str | None, device: str) -> FirstStageReport:
    autoencoder = load_autoencoder(checkpoint).to(choose_device(device))
    size = checkpoint.entry("recipe").get("data", {}).get("size", 64)
    world = _world(checkpoint) if data is None else "shapes"
    source = held_out_source(DataConfig(path=data, world=world, size=size))
    with tqdm(total=min(num, num_distinct(source) or num), unit="image") as bar:
        report = evaluate_first_stage(
            autoencoder, source, name=checkpoint.name, num_images=num, on_progress=lambda done: bar.update(done - bar.n)
        )
    if report.lpips_missing is not None:
        print(f"note: {report.lpips_missing}")
    return report


def _model(pipeline: Pipeline, num: int, settings: dict[str, Any], *, world: World) -> Found:
    """A text model by its captions, any other by its task."""
    if kind_of(pipeline.model) is TEXT:
        return _emoji_model(pipeline, num, settings) if world == "emoji" else _text_model(pipeline, num, settings)
    with tqdm(total=num, unit="image") as bar:
        report = evaluate_task(pipeline, num_images=num, on_progress=lambda done: bar.update(done - bar.n), **settings)
    return report, report.sheets


def _emoji_model(pipeline: Pipeline, num: int, settings: dict[str, Any]) -> Found:
    """By the drawing that each of its images is most like."""
    with tqdm(unit="image") as bar:
        report = evaluate_task(
            pipeline, judge=judge_emoji, num_images=num, on_progress=lambda done: bar.update(done - bar.n), **settings
        )
    return report, lambda: report.sheets() | emoji_sheets(pipeline, **settings)


def _text_model(pipeline: Pipeline, num: int, settings: dict[str, Any]) -> Found:
    """By the scene reader, on captions of the built-in scenes."""
    with tqdm(total=2 * num, unit="image") as bar:
        text = evaluate_text_model(
            pipeline, num_captions=num, on_progress=lambda done: bar.update(done - bar.n), **settings
        )
    return text, lambda: {SHEETS[split]: samples.sheet() for split, samples in text.samples.items()}

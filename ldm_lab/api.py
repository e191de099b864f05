"""The front door: load a model, open a run that a picture carries."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ldm_lab.checkpoints import load_model, locate_model, read_checkpoint, reference_of, shipped_models
from ldm_lab.checkpoints.folder import explained
from ldm_lab.core.errors import RequestError
from ldm_lab.core.runtime import choose_device
from ldm_lab.tasks import Branch, Origin, Outcome, Pipeline, Run, RunRecord
from ldm_lab.tasks.picture import name_of, read_record
from ldm_lab.tasks.provenance import spell_differences
from ldm_lab.tasks.record import parse_record


def load(name_or_folder: str | Path, *, device: str = "auto") -> Pipeline:
    """Load a shipped model by name, or any native checkpoint folder.

    Args:
        name_or_folder: Such as ``"shapes-text"``; ``ldm_lab.checkpoints.shipped_models()`` lists the names.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, …

    Raises:
        CheckpointError: If there is no such model, or its files are damaged, altered, or of another version.
    """
    checkpoint = read_checkpoint(locate_model(name_or_folder), kind="latent_diffusion")
    origin = Origin(
        name=checkpoint.name,
        digest=checkpoint.digest,
        first_stage_digest=reference_of(checkpoint).digest,
    )
    # With channels last the decoder's convolutions take a fifth less time on a CPU.
    model = load_model(checkpoint).to(choose_device(device), memory_format=torch.channels_last)
    with explained(checkpoint):
        return Pipeline(model, origin=origin, defaults=checkpoint.entry("defaults"))


def open_run(png: str | Path | bytes, *, model: Pipeline | str | Path | None = None) -> Run:
    """Open the run that a PNG carries.

    Its settings are there at once. When the images are first asked for, they are made again: bit for bit, if model,
    versions and device are the same; what differs is said in the run's notes.

    Args:
        png: An image that a run saved: a file, or the content of one.
        model: The model to use, a name or a folder; None takes the shipped one that the picture names.

    Raises:
        ImageError: If the file is no picture or carries no run.
        RequestError: If the run cannot be read.
    """
    image, values = read_record(png)
    record = parse_record(values, source=name_of(png))
    return Run(record.settings, lambda: _make_again(record, image, model), recorded=record.provenance)


def _make_again(record: RunRecord, image: Image.Image, model: Pipeline | str | Path | None) -> Outcome:
    pipeline = model if isinstance(model, Pipeline) else load(_named(record, model))
    run = _repeat(record, pipeline)
    differing = spell_differences(record.provenance, run.provenance)
    notes = (*run.notes, *differing, *_compare(image, run.outcome.images))
    return dataclasses.replace(run.outcome, notes=notes)


def _repeat(record: RunRecord, pipeline: Pipeline) -> Run:
    """The run of a record, and before it those that it left."""
    branch = None
    if record.branch is not None:
        parent = _repeat(record.branch.parent, pipeline)
        branch = Branch(parent=parent, step=record.branch.step, recipe=record.branch.recipe)
    taken = itertools.count(1 if branch is None else branch.step + 1)
    stop = record.stopped_after
    on_step = None if stop is None else lambda step: next(taken) < stop
    return pipeline.carry_out(record.settings, branch=branch, on_step=on_step)


def _named(record: RunRecord, model: str | Path | None) -> str | Path:
    name = record.provenance.model.name
    if model is None and name not in shipped_models():
        raise RequestError(
            f"the run was made by {name!r:.80}, which does not come with ldm_lab; pass open_run(…, model=its folder)"
        )
    return name if model is None else model


def _compare(image: Image.Image, images: tuple[Image.Image, ...]) -> list[str]:
    """Say how the picture in the file differs from the closest of those made again."""
    before = np.asarray(image).astype(int)
    sizes_agree = [made for made in images if made.size == image.size]
    if not sizes_agree:
        return ["the picture in the file has another size than those of its run: it was changed after it was saved"]
    gaps = [np.abs(np.asarray(made).astype(int) - before) for made in sizes_agree]
    gap = min(gaps, key=np.sum)
    if not gap.any():
        return ["the picture made again equals the file bit for bit"]
    return [
        f"the picture made again differs from the file by up to {gap.max()} of 255 in {(gap > 0).mean():.1%} of values"
    ]

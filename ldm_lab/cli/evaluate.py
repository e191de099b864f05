"""``ldm-lab evaluate``: the figures of a first stage or of a text model, with what is needed to get them again."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from ldm_lab.data.source import DataConfig, open_source
from ldm_lab.evaluation.reconstruction import FirstStageReport, evaluate_first_stage
from ldm_lab.evaluation.report import circumstances, render, write_report
from ldm_lab.evaluation.text_alignment import TextModelReport, evaluate_text_model

SHEETS = {"test": "sheet-seen.png", "unseen": "sheet-never-trained.png"}


def evaluate(
    model: tyro.conf.Positional[str],
    *,
    num: int = 500,
    output: Path | None = None,
    data: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    device: str = "auto",
) -> None:
    """Measure a first stage by its reconstructions, or a text model by what the scene reader sees in its images.

    Args:
        model: Name of a shipped first stage or model, or a folder.
        num: Images to reconstruct; or captions of seen pairs, and as many of never-trained ones.
        output: Folder for report.md, report.json and sheets of the first 16 captions; None writes nothing.
        data: First stage: a folder of pictures; None takes the test scenes.
        steps: Text model: sampling steps; None takes what the model recommends.
        guidance: Text model: guidance scale; None takes what the model recommends.
        device: auto, cpu, cuda or mps.
    """
    if num < 2:
        raise RequestError(f"num is {num}; give at least 2")
    checkpoint = read_checkpoint(_locate(model))
    sheets: Mapping[str, Image.Image] = {}
    if checkpoint.kind == "autoencoder":
        report = _first_stage(checkpoint, num, data, device)
    else:
        report = _text_model(checkpoint, num, {"num_steps": steps, "guidance_scale": guidance}, device)
        sheets = {SHEETS[split]: samples.sheet() for split, samples in report.samples.items()}
    made = circumstances(shlex.join(["ldm-lab", *sys.argv[1:]]), device=device)
    print(render(report, made))
    if output is not None:
        write_report(output, report, made)
        for name, sheet in sheets.items():
            save_png(output / name, sheet)


def _locate(model: str) -> Path:
    return locate_first_stage(model) if model in shipped_first_stages() else locate_model(model)


def _first_stage(checkpoint: Checkpoint, num: int, data: str | None, device: str) -> FirstStageReport:
    autoencoder = load_autoencoder(checkpoint).to(choose_device(device))
    size = checkpoint.entry("recipe").get("data", {}).get("size", 64)
    source = None if data is None else open_source(DataConfig(path=data, size=size))
    with tqdm(total=num, unit="image") as bar:
        report = evaluate_first_stage(
            autoencoder, source, name=checkpoint.name, num_images=num, on_progress=lambda done: bar.update(done - bar.n)
        )
    if report.lpips_missing is not None:
        print(f"note: {report.lpips_missing}")
    return report


def _text_model(checkpoint: Checkpoint, num: int, settings: dict[str, Any], device: str) -> TextModelReport:
    pipeline = load(checkpoint.folder, device=device)
    with tqdm(total=2 * num, unit="image") as bar:
        return evaluate_text_model(
            pipeline, num_captions=num, on_progress=lambda done: bar.update(done - bar.n), **settings
        )

"""``ldm-lab generate``: images from a sentence, with everything that recreates them."""

from pathlib import Path
from typing import Annotated

from tqdm import tqdm
from tyro.conf import Positional, arg

from ldm_lab.api import load
from ldm_lab.cli.options import given, options_of
from ldm_lab.tasks import Run, TextToImageSettings

Options = options_of(TextToImageSettings, omit=("prompt",), seeds=(0, 1, 2, 3))

FROM_THE_FIRST_STEP = {"delay": 1e-6, "mininterval": 0.0}  # a request that is refused shows a sentence and no bar


def generate(
    prompt: Positional[str],
    options: Annotated[Options, arg(name="")],
    *,
    model: str = "shapes-text",
    output: Path = Path("out"),
    device: str = "auto",
) -> int:
    """Make images from a sentence, with the denoising strip of the first and the settings used.

    Args:
        prompt: What the images shall show; "" for no condition.
        model: Name of a shipped model, or a checkpoint folder.
        output: Folder to write to; files of the same names are replaced.
        device: auto, cpu, cuda, mps.
    """
    pipeline = load(model, device=device)
    num_steps = pipeline.settings(prompt, **given(options)).num_steps
    with tqdm(total=num_steps, desc=pipeline.name, unit=" steps", **FROM_THE_FIRST_STEP) as bar:
        run = pipeline.text_to_image(prompt, on_step=lambda _: bar.update() and None, **given(options))
    _report(run, run.save(output))
    return 0


def _report(run: Run, folder: Path) -> None:
    for note in run.notes:
        print(f"note: {note}")
    count = "1 image" if len(run.images) == 1 else f"{len(run.images)} images"
    print(f"{count}, the denoising strip and the settings are in {folder.resolve()}")

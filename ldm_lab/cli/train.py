"""``ldm-lab train autoencoder | diffusion``: a recipe by name, any of its fields changed, a run that can be stopped."""

import argparse
import dataclasses
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import tyro
from tqdm import tqdm
from tyro.conf import arg

from ldm_lab.cli import INTERRUPTED
from ldm_lab.cli.recipe_options import recipe_options, with_options
from ldm_lab.core.errors import ConfigError
from ldm_lab.core.runtime import choose_device, describe_device, multiplies_bf16
from ldm_lab.training.autoencoder_stage import AutoencoderStage
from ldm_lab.training.conditioner_choice import TASKS
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.training.loop import train
from ldm_lab.training.optimiser import effective_learning_rate
from ldm_lab.training.presets import AUTOENCODERS, DIFFUSION, PRESET_OF_TASK
from ldm_lab.training.stage import TrainStep
from ldm_lab.training.state import list_checkpoints

TERMINATED = 128 + signal.SIGTERM
SLOW_BF16 = (
    "\nnote: this processor has no instructions for bf16; with --training.precision fp32 steps take far less time"
)

_KINDS: dict[str, tuple[Any, Mapping[str, Callable[[], Any]]]] = {
    "autoencoder": (AutoencoderStage, AUTOENCODERS),
    "diffusion": (DiffusionStage, DIFFUSION),
}

_HELP = {
    "preset": 'Recipe to begin with; "own" where --data is given',
    "task": f"What the model is conditioned on, in the place of a preset: {', '.join(TASKS)}",
    "out": "Folder of the run; the same command goes on with what is there",
    "data": "Your pictures: class folders, or metadata.jsonl that describes them, or pictures alone",
    "latents": "Folder of the encoded pictures, which runs on the same data may share; OUT/latents unless said",
    "init_from": "Model whose weights are the starting point: a folder, or a shipped name of a diffusion model",
    "device": '"cpu" keeps a GPU out of it',
}


class Terminated(BaseException):
    """SIGTERM arrived."""


@dataclass(frozen=True)
class Request:
    """What the words ask for."""

    stage: Callable[[], AutoencoderStage | DiffusionStage]
    training: TrainingConfig
    title: str
    out: Path
    latents: Path
    device: str


def train_autoencoder(words: Sequence[str]) -> int:
    """Train a first stage, or go on with a run."""
    return _train(_read(words, "autoencoder"))


def train_diffusion(words: Sequence[str]) -> int:
    """Train a diffusion model in the latent space of a first stage, or go on with a run."""
    return _train(_read(words, "diffusion"))


def _read(words: Sequence[str], kind: str) -> Request:
    """Two readings: which preset, and then the options whose defaults it sets."""
    stage, _ = _KINDS[kind]
    preset, task, recipe = _begin(words, kind)
    options = tyro.cli(
        _options(recipe, kind=kind, preset=preset, task=task),
        prog=f"ldm-lab train {kind}",
        description="Train, or go on with the run in a folder. The defaults shown are those of the preset.",
        args=words,
    )
    recipe = with_options(recipe, options.recipe)
    return Request(
        stage=lambda: stage(recipe, init_from=options.init_from),
        training=recipe.training,
        title=f"{kind} {preset}" + (f", {task}" if task else ""),
        out=options.out,
        latents=getattr(options, "latents", None) or options.out / "latents",
        device=options.device,
    )


def _begin(words: Sequence[str], kind: str) -> tuple[str, str | None, Any]:
    """Name of the preset, the task if one is named, and the recipe to begin with."""
    _, presets = _KINDS[kind]
    first = argparse.ArgumentParser(prog=f"ldm-lab train {kind}", add_help=False, allow_abbrev=False)
    for name in ("--preset", "--data", "--task"):
        first.add_argument(name)
    chosen, _ = first.parse_known_args(words)
    task = chosen.task if kind == "diffusion" else None
    if task is not None and task not in TASKS:
        raise ConfigError(f"there is no task {task!r}; choose one of {', '.join(TASKS)}")
    shipped = next(iter(presets)) if task is None else PRESET_OF_TASK[task]
    preset = chosen.preset or ("own" if chosen.data else shipped)
    if preset not in presets:
        raise ConfigError(f"there is no preset {preset!r}; choose one of {', '.join(presets)}")
    if task is not None and preset not in ("own", shipped):
        raise ConfigError(f"the preset {preset} is not for the task {task!r}; leave one of them out")
    recipe = presets[preset]()
    if task is not None and preset == "own":
        recipe = replace(recipe, conditioner=task)
    if chosen.data is not None:
        recipe = replace(recipe, data=replace(recipe.data, path=chosen.data))
    return preset, task, recipe


def _options(recipe: Any, *, kind: str, preset: str, task: str | None) -> Any:
    """All options, with the preset's values as defaults."""
    fields = recipe_options(recipe, omit=frozenset({"data.path"}))
    name = f"{kind}-{preset}" + (f"-{task}" if task and preset == "own" else "")
    own = [
        ("preset", str, preset),
        ("out", Path, Path("runs") / name),
        ("data", str | None, recipe.data.path),
        ("init_from", Path | None, None),
        ("device", Literal["auto", "cpu"], "auto"),
    ]
    if kind == "diffusion":
        own += [("task", str | None, task), ("latents", Path | None, None)]
    documented = [(name, Annotated[hint, arg(help=_HELP[name])], default) for name, hint, default in own]
    nested = ("recipe", Annotated[fields, arg(name="")], dataclasses.field(default_factory=fields))
    return dataclasses.make_dataclass("Options", [*documented, nested], frozen=True)


def _train(request: Request) -> int:
    """Run to the end, or to a signal; say which."""
    with _notes_on_stderr(), _termination():
        try:
            last = _run(request)
        except KeyboardInterrupt:
            return _stopped(request.out, INTERRUPTED)
        except Terminated:
            return _stopped(request.out, TERMINATED)
    if _is_main_process():
        print(f"model: {request.out / 'model'}" if last else f"finished before; model: {request.out / 'model'}")
    return 0


def _run(request: Request) -> TrainStep | None:
    """All that is left of the run; returns its last step, None if it was finished before."""
    stage, record = request.stage(), None
    if _is_main_process():
        print(_summary(request, stage))
    if isinstance(stage, DiffusionStage):
        _encode(stage, request)
    steps = train(stage, request.training, request.out, device=request.device)
    with closing(steps), _Bar(request.training) as bar:
        for record in steps:
            bar.show(record)
    return record


def _summary(request: Request, stage: AutoencoderStage | DiffusionStage) -> str:
    count = sum(parameter.numel() for parameter in stage.objective.parameters())
    rate = effective_learning_rate(request.training, num_processes=_num_processes())
    device = choose_device(request.device)
    start = f"{request.title} in {request.out}: {count:,} parameters, effective learning rate {rate:g}"
    slow = SLOW_BF16 if request.training.precision == "bf16" and not multiplies_bf16(device) else ""
    return f"{start}, {describe_device(device)}{slow}"


def _encode(stage: DiffusionStage, request: Request) -> None:
    """Fill the latent store."""
    with closing(stage.prepare(request.latents, device=request.device)) as parts, _bar(stage.length) as bar:
        bar.set_description("latents")
        for done in parts:
            bar.update(done - bar.n)


class _Bar:
    """Progress with loss, speed and time left; it begins where the run does."""

    def __init__(self, training: TrainingConfig) -> None:
        self.training, self.bar, self.loss = training, None, 0.0
        self.images_a_step = _num_processes() * training.batch_size * training.accumulation

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, record: TrainStep) -> None:
        """Take one step into the bar; figures of averaged weights become a line above it."""
        if self.bar is None:
            self.bar, self.loss = _bar(self.training.num_steps, initial=record.index), record.loss
        if self.bar.disable:
            return  # only the first process shows one; tqdm keeps no count where it shows none
        self.loss += 0.05 * (record.loss - self.loss)
        self.bar.update()
        done, elapsed = self.bar.n - self.bar.initial, self.bar.format_dict["elapsed"]
        speed = done * self.images_a_step / max(elapsed, 1e-3)
        self.bar.set_postfix_str(f"loss {self.loss:.4g}, {speed:.1f} images/s", refresh=False)
        if record.figures:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in record.figures.items())
            self.bar.write(f"step {record.index + 1}: {figures}", file=sys.stderr)


def _bar(total: int, *, initial: int = 0) -> tqdm:
    interval = 0.5 if sys.stderr.isatty() else 30.0
    return tqdm(total=total, initial=initial, mininterval=interval, dynamic_ncols=True, disable=not _is_main_process())


def _stopped(out: Path, code: int) -> int:
    newest = next(iter(list_checkpoints(out / "checkpoints")), None)
    where = "before its first checkpoint" if newest is None else f"after step {int(newest.name.split('-')[1])}"
    if _is_main_process():
        print(f"ldm-lab: stopped {where}; the same command goes on from there", file=sys.stderr)
    return code


def _num_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _is_main_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _termination() -> Iterator[None]:
    """SIGTERM becomes an exception, as Ctrl-C is one."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _notes_on_stderr() -> Iterator[None]:
    """Warnings of ours are for the user, not for the developer."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        tqdm.write(f"note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning, module="ldm_lab")
        warnings.showwarning = show  # type: ignore[assignment]
        yield

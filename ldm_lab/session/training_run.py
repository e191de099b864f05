"""A training run as a job of a session, which other jobs' calls may interrupt between two steps."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldm_lab.session.events import Progressed
from ldm_lab.session.job import Job, Listener
from ldm_lab.session.session import Session
from ldm_lab.training.autoencoder_stage import AutoencoderRecipe, AutoencoderStage
from ldm_lab.training.diffusion_recipe import DiffusionRecipe
from ldm_lab.training.diffusion_stage import DiffusionStage
from ldm_lab.training.loop import train
from ldm_lab.training.stage import TrainStep

Recipe = AutoencoderRecipe | DiffusionRecipe


@dataclass(frozen=True, slots=True)
class Encoded:
    """Examples were encoded into the latent store, so many of so many."""

    num_done: int
    num_expected: int


@dataclass(frozen=True, slots=True)
class Trained:
    """A step of training was done; ``num_expected`` there will be."""

    step: TrainStep
    num_expected: int


def train_in(session: Session, recipe: Recipe, folder: str | Path, *, listener: Listener | None = None) -> Job:
    """Train, or go on with the run in a folder; the job's value is the number of steps that are done.

    To stop or to cancel the job ends the run after its step, with a checkpoint and the model of it.

    Args:
        session: Whose thread does it; its model stays as it is.
        recipe: Of either stage.
        folder: Where the run lives.
        listener: Gets ``Progressed`` events with ``Encoded`` and ``Trained``.

    Raises:
        RequestError: If the session is closed. What is wrong with recipe or folder is said by ``Failed``.
    """

    def work(job: Job, let_in: Callable[[], None]) -> int:
        device = "cpu" if session.model.device.type == "cpu" else "auto"
        stage = _stage_of(recipe)
        if isinstance(stage, DiffusionStage) and not _encode(stage, Path(folder), device, job, let_in):
            return 0
        done = 0
        with closing(train(stage, recipe.training, folder, device=device)) as steps:
            for step in steps:
                done = step.index + 1
                job.tell(Progressed(Trained(step, recipe.training.num_steps)))
                let_in()
                if job.is_stopping or job.token.is_cancelled:
                    break
        return done

    return session.undertake(work, listener=listener)


def _stage_of(recipe: Recipe) -> Any:
    """A ``Stage``; its networks are of narrower types than that promises, which a type checker would not let pass."""
    return AutoencoderStage(recipe) if isinstance(recipe, AutoencoderRecipe) else DiffusionStage(recipe)


def _encode(stage: DiffusionStage, folder: Path, device: str, job: Job, let_in: Callable[[], None]) -> bool:
    """Fill the latent store; whether that was not stopped."""
    with closing(stage.prepare(folder / "latents", device=device)) as parts:
        for done in parts:
            job.tell(Progressed(Encoded(done, stage.length)))
            let_in()
            if job.is_stopping or job.token.is_cancelled:
                return False
    return True

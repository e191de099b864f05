"""The loop that trains either stage: a generator of finished steps.

A run lives in one folder: ``checkpoints/``, ``log.jsonl``, ``sheets/``, and at the end ``model/``. Start it again after a stop
of any kind, also kill -9, and it goes on from the newest intact checkpoint to a state that is bit for bit the one of a run
that was never stopped (same machine, same versions, same number of threads).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from filelock import FileLock, Timeout

from ldm_lab.core.config import differences, to_dict
from ldm_lab.core.errors import TrainingError
from ldm_lab.core.images import save_png
from ldm_lab.core.io import read_json
from ldm_lab.core.runtime import versions
from ldm_lab.core.seeding import derive_seed
from ldm_lab.training.config import HOUSEKEEPING, TrainingConfig
from ldm_lab.training.ema import ExponentialAverage
from ldm_lab.training.log import RunLog
from ldm_lab.training.optimiser import (
    build_optimiser,
    check_finite,
    check_gradients,
    effective_learning_rate,
    learning_rate_at,
    set_learning_rate,
)
from ldm_lab.training.stage import Stage, TrainStep
from ldm_lab.training.state import TrainingState, newest_intact

MAX_SKIPPED = 20  # fp16 steps in a row that the loss scaler may skip


def train(stage: Stage, config: TrainingConfig, folder: str | Path, *, device: str = "auto") -> Iterator[TrainStep]:
    """Train a stage, or go on with a run that was stopped.

    Args:
        stage: What to train.
        config: How.
        folder: Where the run lives.
        device: "cpu" keeps a GPU out of it; otherwise accelerate chooses.

    Yields:
        A record of every finished step. Closing the generator saves a checkpoint of the last one.

    Raises:
        TrainingError: The folder is in use or holds a run of something else, or a number is not finite.
        CheckpointError: A checkpoint cannot be written; the previous ones stay.
    """
    folder = Path(folder)
    with _exclusive(folder), _accelerator(config, device) as accelerator:
        run = _start(stage, config, folder, accelerator)
        try:
            for step in range(run.first_step, config.num_steps):
                yield run.advance(step)
        finally:
            run.close()
        run.finish()


@dataclass
class _Run:
    """A run in progress."""

    stage: Stage
    config: TrainingConfig
    folder: Path
    accelerator: Accelerator
    model: Any  # the objective, as accelerate wrapped it
    optimiser: Any
    state: TrainingState
    log: RunLog
    first_step: int
    peak_lr: float

    def __post_init__(self) -> None:
        self.done = self.first_step
        self.skipped = 0
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self.next_batch = self.worker.submit(self._batch, self.first_step * self.config.accumulation)

    def advance(self, step: int) -> TrainStep:
        """Do one optimiser step, and what is due after it."""
        lr = learning_rate_at(step, self.peak_lr, self.config)
        set_learning_rate(self.optimiser, lr)
        torch.manual_seed(derive_seed(self.config.seed, "dropout", step, self.accelerator.process_index))
        loss, terms = self._accumulate(step)
        norm = self._update(step)
        record = TrainStep(step, loss, terms, lr, norm)
        self.done = step + 1
        return self._keep_house(record)

    def close(self) -> None:
        """Save where the run stands, and let go of files and threads."""
        self.worker.shutdown(cancel_futures=True)
        try:
            if self.done > self.first_step:
                self._save()
        finally:
            self.log.close()

    def finish(self) -> None:
        """Write the trained model."""
        with self.state.average.applied():
            provenance = {"steps": self.done, "identity": self.stage.identity, "versions": versions()}
            self.stage.export(self.folder / "model", provenance=provenance)

    def _accumulate(self, step: int) -> tuple[float, dict[str, float]]:
        """Forward and backward passes of one step; gradients are averaged over them."""
        count = self.config.accumulation
        total, terms = 0.0, {}
        for micro in range(count):
            batch = self._take_batch(step * count + micro)
            value = self.model(**batch, **self.stage.step_arguments(step))
            loss = value.total.item()
            check_finite(step, loss, batch, self.state.module)
            self.accelerator.backward(value.total / count)
            total += loss / count
            terms = {name: terms.get(name, 0.0) + float(term) / count for name, term in value.terms.items()}
        return total, terms

    def _update(self, step: int) -> float:
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm))
        if self.state.scaler is None:
            check_gradients(step, norm, self.state.module)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self._count_skipped(step)
        self.state.average.update()
        return norm

    def _count_skipped(self, step: int) -> None:
        """Let the fp16 loss scaler skip a step now and then, but not for ever."""
        self.skipped = self.skipped + 1 if self.accelerator.optimizer_step_was_skipped else 0
        if self.skipped >= MAX_SKIPPED:
            raise TrainingError(
                f"step {step}: {self.skipped} steps in a row had gradients that are not finite in fp16; use precision bf16 or fp32"
            )

    def _keep_house(self, record: TrainStep) -> TrainStep:
        """Log, draw and save, where the step says so."""
        if self.done % self.config.sheet_every == 0 or self.done == self.config.num_steps:
            record = replace(record, figures=self._show())
        if self.done % self.config.log_every == 0 or record.figures:
            values = {"loss": record.loss, "lr": record.lr, "grad_norm": record.grad_norm}
            self.log.write({"step": self.done} | values | record.terms | record.figures)
        if self.done % self.config.save_every == 0:
            self._save()
        return record

    def _show(self) -> dict[str, float]:
        if not self.accelerator.is_main_process:
            return {}
        with self.state.average.applied(), torch.no_grad():
            save_png(self.folder / "sheets" / f"step-{self.done:08d}.png", self.stage.sheet())
            return self.stage.figures()

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            about = {"log_size": self.log.flush(), "identity": self.stage.identity, "training": to_dict(self.config)}
            self.state.save(self.folder / "checkpoints", step=self.done, about=about, keep=self.config.keep)

    def _batch(self, number: int) -> dict[str, Any]:
        """Batch of forward pass ``number`` for this process; a function of the number alone."""
        draw = number * self.accelerator.num_processes + self.accelerator.process_index
        return self.stage.batch(draw, self.config.batch_size)

    def _take_batch(self, number: int) -> dict[str, Any]:
        """The batch that was made ahead, moved to the device; the next one is begun."""
        batch = self.next_batch.result()
        self.next_batch = self.worker.submit(self._batch, number + 1)
        device = self.accelerator.device
        return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}


def _start(stage: Stage, config: TrainingConfig, folder: Path, accelerator: Accelerator) -> _Run:
    """Set everything up, from scratch or from the newest intact checkpoint."""
    checkpoint, _ = newest_intact(folder / "checkpoints")
    saved = None if checkpoint is None else read_json(checkpoint / "state.json")
    if saved is not None:
        _check_same_run(saved, stage, config, folder)
    stage.objective.to(accelerator.device, memory_format=torch.channels_last).train()
    average = ExponentialAverage(stage.averaged, decay=config.ema_decay)
    bare = build_optimiser(stage.objective, config)
    model, optimiser = accelerator.prepare(stage.objective, bare)
    state = TrainingState(stage.objective, average, bare, accelerator.scaler)
    if checkpoint is not None:
        state.load(checkpoint)
    return _Run(
        stage=stage,
        config=config,
        folder=folder,
        accelerator=accelerator,
        model=model,
        optimiser=optimiser,
        state=state,
        log=RunLog(folder / "log.jsonl", size=saved["log_size"] if saved else 0),
        first_step=saved["step"] if saved else 0,
        peak_lr=effective_learning_rate(config, num_processes=accelerator.num_processes),
    )


def _check_same_run(saved: dict[str, Any], stage: Stage, config: TrainingConfig, folder: Path) -> None:
    """Refuse to go on with another data set, network, first stage or recipe."""
    changed = differences(saved["identity"], stage.identity)
    changed |= {
        name: values
        for name, values in differences(saved["training"], to_dict(config)).items()
        if name not in HOUSEKEEPING
    }
    if changed:
        name, (old, new) = next(iter(changed.items()))
        raise TrainingError(
            f"{folder} holds a run with {name}={old!r}, but now {name}={new!r} is asked for; "
            "choose another folder or the old value"
        )


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Keep a second trainer out; the lock ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "train.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError(f"{folder} is in use by another training process; stop it or choose another folder") from error
    except OSError as error:
        raise TrainingError(f"cannot write {folder}: {error.strerror}; choose another folder") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _accelerator(config: TrainingConfig, device: str) -> Iterator[Accelerator]:
    """accelerate's device, precision and processes; its global state is cleared, so that the next run may differ."""
    AcceleratorState._reset_state()
    yield Accelerator(
        mixed_precision="no" if config.precision == "fp32" else config.precision,
        cpu=device == "cpu",
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    AcceleratorState._reset_state()

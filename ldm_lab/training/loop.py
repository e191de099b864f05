"""The loop that trains either stage: a generator of finished steps.

A run lives in one folder: ``checkpoints/``, ``log.jsonl``, ``sheets/``, and ``model/``, written anew with every sheet
and at every end. Start the run again after a stop of any kind, also kill -9, and it goes on from the newest intact
checkpoint to a state that is bit for bit that of a run that was never stopped (same machine, same versions, same number
of threads).
"""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, send_to_device
from torch.nn.utils import clip_grads_with_norm_

from ldm_lab.core.config import to_dict
from ldm_lab.core.errors import ConfigError, TrainingError
from ldm_lab.core.images import save_png
from ldm_lab.core.io import read_json
from ldm_lab.core.runtime import choose_device, versions
from ldm_lab.core.seeding import derive_seed
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.ema import ExponentialAverage
from ldm_lab.training.interrupt import deferred_signals
from ldm_lab.training.log import RunLog
from ldm_lab.training.optimiser import (
    build_optimiser,
    check_finite,
    check_gradients,
    effective_learning_rate,
    gradient_norm,
    learning_rate_at,
    set_learning_rate,
)
from ldm_lab.training.run_folder import check_same_run, exclusive, exported_steps, find_checkpoint
from ldm_lab.training.stage import Stage, TrainStep
from ldm_lab.training.state import TrainingState

MAX_SKIPPED = 20  # fp16 steps in a row that the loss scaler may skip


def train(
    stage: Stage, config: TrainingConfig, folder: str | Path, *, device: str = "auto"
) -> Generator[TrainStep, None, None]:
    """Train a stage, or go on with a run that was stopped.

    Ctrl-C waits for the end of the step. Warns where a damaged checkpoint is passed over.

    Args:
        stage: What to train, as it was constructed.
        config: How.
        folder: Where the run lives.
        device: "cpu" keeps a GPU out of it; otherwise accelerate chooses among those of its kind.

    Yields:
        A record of every finished step. Closing the generator saves a checkpoint and the model of the last one.

    Raises:
        TrainingError: The folder is in use or holds a run of something else, or a number is not finite.
        CheckpointError: A checkpoint cannot be written; the previous ones stay.
    """
    folder = Path(folder)
    accelerator = _accelerator(config, device, rests=stage.rests)
    with exclusive(folder) if accelerator.is_main_process else nullcontext():
        run = _start(stage, config, folder, accelerator)
        try:
            for step in range(run.first_step, config.num_steps):
                with deferred_signals():
                    record = run.advance(step)
                yield record
        finally:
            with deferred_signals():
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
    log: RunLog | None  # kept by the main process alone
    first_step: int

    def __post_init__(self) -> None:
        self.peak_lr = effective_learning_rate(self.config, num_processes=self.accelerator.num_processes)
        self.done = self.saved = self.exported = self.first_step
        self.is_whole = True  # False in the midst of a step, where a checkpoint would be neither here nor there
        self.skipped = 0
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self.next_batch = self.worker.submit(self._batch, self.first_step * self.config.accumulation)

    def advance(self, step: int) -> TrainStep:
        """Do one optimiser step, and what is due after it."""
        self.next_batch.result()  # a picture that cannot be read shows here, where all is still whole
        self.is_whole = False
        lr = learning_rate_at(step, self.peak_lr, self.config)
        set_learning_rate(self.optimiser, lr)
        torch.manual_seed(derive_seed(self.config.seed, "dropout", step, self.accelerator.process_index))
        loss, terms = self._accumulate(step)
        norm = self._update(step)
        record = TrainStep(step, loss, terms | self._scaling(), lr, norm)
        self.done = step + 1
        return self._keep_house(record)

    def close(self) -> None:
        """Save where the run stands, the model too, and let go of files and threads."""
        self.worker.shutdown(cancel_futures=True)
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)  # gives the objective its own forward back
        try:
            if self.is_whole:
                self._save()
                if self.done > self.exported:
                    self._export()
        finally:
            if self.log is not None:
                self.log.close()

    def finish(self) -> None:
        """Write the model of a run that ended before, should it be lost, damaged or an earlier one."""
        if exported_steps(self.folder / "model") != self.done:
            self._export()

    def _accumulate(self, step: int) -> tuple[float, dict[str, float]]:
        """Forward and backward passes of one step; gradients are averaged over them."""
        count = self.config.accumulation
        total, terms = 0.0, {}
        for micro in range(count):
            batch = self._take_batch(step * count + micro)
            is_last = micro + 1 == count
            with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                value = self.model(**batch, **self.stage.step_arguments(step))
                loss = value.total.item()
                check_finite(step, loss, batch, self.state.module)
                total += loss / count
                terms = {name: terms.get(name, 0.0) + float(term) / count for name, term in value.terms.items()}
                self.accelerator.backward(value.total / count)
        return total, terms

    def _update(self, step: int) -> float:
        self.accelerator.unscale_gradients()
        total = gradient_norm(self.state.module)
        norm = float(total)
        if self.state.scaler is None:
            check_gradients(step, norm, self.state.module)
        clip_grads_with_norm_(self.state.module.parameters(), self.config.max_grad_norm, total)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.accelerator.optimizer_step_was_skipped:
            self._count_skipped(step, norm)
        else:
            self.skipped = 0
            self.state.average.update()
        return norm

    def _count_skipped(self, step: int, norm: float) -> None:
        """Let the fp16 loss scaler skip a step now and then, but not for ever."""
        self.skipped += 1
        if self.skipped >= MAX_SKIPPED:
            raise TrainingError(
                f"step {step}: {self.skipped} steps in a row had gradients that are not finite in fp16, the last of "
                f"norm {norm}; use precision bf16 or fp32"
            )

    def _scaling(self) -> dict[str, float]:
        """What the fp16 loss scaler does."""
        scaler = self.state.scaler
        return {} if scaler is None else {"loss_scale": scaler.get_scale(), "skipped_in_a_row": float(self.skipped)}

    def _keep_house(self, record: TrainStep) -> TrainStep:
        """Log, draw, save and export, where the step says so."""
        shows = self.done % self.config.sheet_every == 0 or self.done == self.config.num_steps
        if self.log is not None:
            record = replace(record, figures=self._show() if shows else {})
            if shows or self.done % self.config.log_every == 0:
                values = {"loss": record.loss, "lr": record.lr, "grad_norm": record.grad_norm}
                self.log.write({"step": self.done} | values | record.terms | record.figures)
        self.is_whole = True
        if self.done % self.config.save_every == 0:
            self._save()
        if shows:
            self._export()
        return record

    def _show(self) -> dict[str, float]:
        with self.state.average.applied(), torch.no_grad():
            save_png(self.folder / "sheets" / f"step-{self.done:08d}.png", self.stage.sheet())
            return self.stage.figures()

    def _save(self) -> None:
        if self.log is not None and self.done > self.saved:
            about = {"log_size": self.log.flush(), "identity": self.stage.identity, "training": to_dict(self.config)}
            self.state.save(self.folder / "checkpoints", step=self.done, about=about, keep=self.config.keep)
            self.saved = self.done

    def _export(self) -> None:
        """Write the averaged weights as a model in the place of an earlier one."""
        if self.log is not None:
            provenance = {"steps": self.done, "identity": self.stage.identity, "versions": versions()}
            with self.state.average.applied():
                self.stage.export(self.folder / "model", provenance=provenance)
            self.exported = self.done

    def _batch(self, number: int) -> dict[str, Any]:
        """Batch of forward pass ``number`` for this process, on its device; a function of the number alone."""
        draw = number * self.accelerator.num_processes + self.accelerator.process_index
        return send_to_device(self.stage.batch(draw, self.config.batch_size), self.accelerator.device)

    def _take_batch(self, number: int) -> dict[str, Any]:
        """The batch that was made ahead; the next one is begun."""
        batch = self.next_batch.result()
        self.next_batch = self.worker.submit(self._batch, number + 1)
        return batch


def _start(stage: Stage, config: TrainingConfig, folder: Path, accelerator: Accelerator) -> _Run:
    """Set everything up, from scratch or from the newest intact checkpoint."""
    is_main = accelerator.is_main_process
    checkpoint = find_checkpoint(folder, tidy=is_main)
    saved = {"step": 0, "log_size": 0} if checkpoint is None else read_json(checkpoint / "state.json")
    if checkpoint is not None:
        check_same_run(saved, identity=stage.identity, config=config, folder=folder)
    stage.objective.to(accelerator.device, memory_format=torch.channels_last).train()
    average = ExponentialAverage(stage.averaged, decay=config.ema_decay)
    bare = build_optimiser(stage.objective, config)
    model, optimiser = accelerator.prepare(stage.objective, bare)
    state = TrainingState(stage.objective, average, bare, accelerator.scaler)
    if checkpoint is not None:
        state.load(checkpoint)
    accelerator.wait_for_everyone()  # nobody writes before all have read
    log = RunLog(folder / "log.jsonl", size=saved["log_size"]) if is_main else None
    return _Run(stage, config, folder, accelerator, model, optimiser, state, log, first_step=saved["step"])


def _accelerator(config: TrainingConfig, device: str, *, rests: bool) -> Accelerator:
    """accelerate's device, precision and processes; it keeps them for good, so they are cleared for every run.

    Raises:
        ConfigError: If the device cannot compute in that precision.
    """
    cpu = choose_device(device).type == "cpu"
    if cpu and config.precision == "fp16":  # accelerate would compute in fp32 and not say so
        raise ConfigError("precision is 'fp16', which needs a GPU; choose bf16 or fp32")
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        return Accelerator(
            mixed_precision="no" if config.precision == "fp32" else config.precision,
            cpu=cpu,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=rests)],
        )
    except ValueError as error:
        reason = f"precision is {config.precision!r}, which this machine does not have"
        raise ConfigError(f"{reason} ({error}); choose fp32") from error

"""The steps of a walk as they are kept: on the CPU, within a budget, with a sentence where that costs something."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ldm_lab.core.errors import LdmLabError
from ldm_lab.core.io import format_bytes
from ldm_lab.sampling import Step

MAX_TRAJECTORY_BYTES = 256_000_000  # an image of 512 × 512 at f = 8 takes 0.2 MB a step, one of a shipped model 0.01


class NonFiniteLatentError(LdmLabError):
    """A step led to NaN or infinity."""


class TrajectoryRecorder:
    """Keeps steps as they were computed while they fit; then rounded to 16 bits; then every second, fourth, … one.

    The first and the last step are always kept. What two steps share, ``z_next`` of one and ``z_t`` of the next, is
    kept once; so is what a step holds twice, such as eps as ``output``.

    Attributes:
        last: The newest step, as it was computed.
        num_steps: How many there were.
        stride: 1 if all steps are kept, otherwise every how many.
    """

    def __init__(self, *, max_bytes: int = MAX_TRAJECTORY_BYTES) -> None:
        self.last: Step | None = None
        self.num_steps, self.stride = 0, 1
        self._max_bytes, self._num_bytes, self._computed_bytes = max_bytes, 0, 0
        self._steps: list[Step] = []
        self._source: Tensor | None = None  # z_next of the last step where it was computed
        self._is_rounded = False

    def add(self, step: Step) -> Step:
        """Keep a step, and return it as it was computed, on the CPU; its tensors may be used in any way.

        Raises:
            NonFiniteLatentError: If it led to NaN or infinity.
        """
        before = self.last
        copies = {} if before is None else {id(self._source): before.z_next}
        self.last, self._source = step.map(_once(_copy, copies)), step.z_next
        _check_finite(self.last)
        self._computed_bytes += _size_of([self.last], without=before)
        self.num_steps += 1
        if (self.num_steps - 1) % self.stride == 0:
            self._append(self.last, before=before)
        while self._num_bytes > self._max_bytes and len(self._steps) > 1:
            self._reduce()
        return self.last

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is kept, in order."""
        if self.last is None or (self.num_steps - 1) % self.stride == 0:
            return tuple(self._steps)
        return (*self._steps, self.last.map(_once(Tensor.half, {})))

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence, if the steps are not kept as they were computed."""
        if not self._is_rounded:
            return ()
        which = "in 16 bits" if self.stride == 1 else f"in 16 bits, one step of {self.stride}"
        return (
            f"the trajectory of {self.num_steps} steps takes {format_bytes(self._computed_bytes)}, more than the "
            f"{format_bytes(self._max_bytes)} of its budget; it is kept {which}",
        )

    def _append(self, step: Step, *, before: Step | None) -> None:
        previous = self._steps[-1] if self._steps and self.stride == 1 else None
        if self._is_rounded:
            shared = {} if before is None or previous is None else {id(before.z_next): previous.z_next}
            step = step.map(_once(Tensor.half, shared))
        self._steps.append(step)
        self._num_bytes += _size_of([step], without=previous)

    def _reduce(self) -> None:
        """Half as many bits, or half as many steps."""
        if self._is_rounded:
            self.stride *= 2
            self._steps = self._steps[::2]
        else:
            self._is_rounded = True
            rounded = _once(Tensor.half, {})
            self._steps = [step.map(rounded) for step in self._steps]
        self._num_bytes = _size_of(self._steps)


def _size_of(steps: Iterable[Step], *, without: Step | None = None) -> int:
    """Bytes of the tensors of some steps, those of another one apart."""
    found = {id(tensor): tensor.nbytes for step in steps for tensor in _tensors(step)}
    others = set() if without is None else set(map(id, _tensors(without)))
    return sum(size for name, size in found.items() if name not in others)


def _tensors(step: Step) -> tuple[Tensor, ...]:
    return step.z_t, step.z_0_pred, step.noise_pred, step.z_next, step.output


def _check_finite(step: Step) -> None:
    bad = [int((~torch.isfinite(z)).flatten(1).any(1).sum()) for z in (step.z_0_pred, step.z_next)]
    if any(bad):
        raise NonFiniteLatentError(
            f"step {step.index} (t = {step.t}) led to NaN or infinity in the latents of {max(bad)} of "
            f"{len(step.z_next)} images; lower the guidance scale, or choose another sampler"
        )


def _copy(tensor: Tensor) -> Tensor:
    """On the CPU, in memory of its own, and no tensor of the inference mode, which forbids much."""
    with torch.inference_mode(mode=False):
        return tensor.to("cpu", copy=True)


def _once(change: Callable[[Tensor], Tensor], done: dict[int, Tensor]) -> Callable[[Tensor], Tensor]:
    """``change``, with one result for each tensor however often it occurs."""

    def changed(tensor: Tensor) -> Tensor:
        if id(tensor) not in done:
            done[id(tensor)] = change(tensor)
        return done[id(tensor)]

    return changed

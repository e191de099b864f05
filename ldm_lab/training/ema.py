"""The exponential moving average of weights, from which models are sampled and saved."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ExponentialAverage:
    """Averages every parameter of a module; for stage 2 that includes the jointly trained conditioner.

    ema ← d·ema + (1 - d)·weight with d = min(decay, (1 + n)/(10 + n)) at the n-th update, so that the first weights are
    soon forgotten (the warm-up of the reference).
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.module, self.decay, self.num_updates = module, decay, 0
        self.average = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the module's present weights into the average."""
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        weights = [parameter.detach() for parameter in self.module.parameters()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1.0 - decay)
        self.num_updates += 1

    @contextmanager
    def applied(self) -> Iterator[nn.Module]:
        """Run a block with the averaged weights, in evaluation mode; the trained ones come back afterwards."""
        trained = {name: parameter.detach().clone() for name, parameter in self.module.named_parameters()}
        was_training = self.module.training
        try:
            self._write(self.average)
            yield self.module.eval()
        finally:
            self._write(trained)
            self.module.train(was_training)

    def load(self, average: dict[str, Tensor], *, num_updates: int) -> None:
        """Continue from a saved average."""
        for name, tensor in self.average.items():
            tensor.copy_(average[name])
        self.num_updates = num_updates

    @torch.no_grad()
    def _write(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.module.named_parameters():
            parameter.copy_(values[name])

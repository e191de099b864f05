"""How long, how fast and how carefully to train."""

from dataclasses import dataclass
from typing import Literal

from ldm_lab.core.config import check, setting

HOUSEKEEPING = frozenset({"save_every", "keep", "sheet_every", "log_every"})  # may change between a stop and a resume


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """Settings of the optimiser and of the loop around it; both stages use the same."""

    num_steps: int = setting(100_000, help="Optimiser steps", minimum=1)
    batch_size: int = setting(16, help="Images in one forward pass of one process", minimum=1, maximum=65_536)
    accumulation: int = setting(1, help="Forward passes before each optimiser step", minimum=1, maximum=4096)
    learning_rate: float = setting(1e-4, help="Peak learning rate", minimum=0.0, maximum=1.0)
    optimiser: Literal["adamw", "muon"] = setting(
        "adamw", help="'muon' makes the momentum of matrices orthogonal: fewer steps, each a sixth dearer"
    )
    scale_learning_rate: bool = setting(
        False, help="Multiply by processes x batch x accumulation, as the reference does"
    )
    warmup_steps: int = setting(0, help="Steps over which the learning rate rises from 0", minimum=0)
    decay: Literal["constant", "linear", "cosine"] = setting("constant", help="How it falls to 0 at the last step")
    betas: tuple[float, float] = setting(
        (0.9, 0.999), help="Momenta of AdamW; the reference's stage 1 has 0.5, 0.9", minimum=0.0, maximum=0.99999
    )
    weight_decay: float = setting(0.0, help="Decoupled weight decay", minimum=0.0, maximum=1.0)
    max_grad_norm: float = setting(1.0, help="Longer gradients are shortened to this norm", minimum=1e-6)
    precision: Literal["fp32", "bf16", "fp16"] = setting(
        "fp32", help="Arithmetic of the forward pass; weights stay fp32"
    )
    ema_decay: float = setting(
        0.9999, help="Decay of the averaged weights; 0 keeps the last ones", minimum=0.0, maximum=1.0
    )
    seed: int = setting(0, help="Seed of initial weights, order, noise and dropout", minimum=0, maximum=2**32 - 1)
    save_every: int = setting(500, help="Steps between checkpoints", minimum=1)
    keep: int = setting(2, help="Checkpoints kept", minimum=2, maximum=1000)
    sheet_every: int = setting(500, help="Steps between sample sheets and health figures", minimum=1)
    log_every: int = setting(10, help="Steps between lines of the log", minimum=1)

    def __post_init__(self) -> None:
        check(self)

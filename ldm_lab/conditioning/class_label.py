"""Class labels: an embedding with one extra row for "no class"."""

import dataclasses
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ldm_lab.conditioning.conditioner import Encode, Prepared, checked_batch, listed, move
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError, RequestError

Label = int | str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassLabelConfig:
    """How many classes there are, and where their embedding enters the network."""

    num_classes: int = setting(dataclasses.MISSING, help="Number of classes.", minimum=1, maximum=1_000_000)
    width: int = setting(
        512, help="Width of the embedding; 512 in the paper's ImageNet models.", minimum=1, maximum=8192
    )
    names: tuple[str, ...] | None = setting(None, help="Names by which classes may be asked for, in order.")
    target: Literal["context", "vector"] = setting(
        "context", help="One token for cross-attention, as in the paper, or a vector added to the time embedding."
    )

    concat_channels: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check(self)
        if self.names is None:
            return
        if len(self.names) != self.num_classes:
            raise ConfigError(f"names has {len(self.names)} entries, but num_classes is {self.num_classes}")
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ConfigError(f"the class name {twice[0]!r} occurs more than once; names must differ")


class ClassLabel(nn.Module):
    """A class label (B,) → one token (B, 1, D) or one vector (B, D).

    The last row, ``num_classes``, means "no class": LDM (Rombach et al. 2022) trains cin256-v2 with 1,001 rows so.
    """

    null = None
    has_null = True
    concat_channels = 0

    def __init__(self, config: ClassLabelConfig) -> None:
        super().__init__()
        self.config = config
        self.context_dim = config.width if config.target == "context" else None
        self.vector_dim = config.width if config.target == "vector" else None
        self.embedding = nn.Embedding(config.num_classes + 1, config.width)
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """Classes: standard normal, as in the reference, so that no two start close together."""
        nn.init.normal_(self.embedding.weight)

    def attach(self, encode: Encode) -> None:
        """Needs no first stage."""

    def prepare(self, y: Sequence[Label]) -> Prepared:
        """Labels, class names or None → {"labels": (B,)} on the CPU.

        Raises:
            RequestError: If a label is out of range, a name is unknown, or the type is wrong.
        """
        return {"labels": torch.tensor([self._row(label) for label in checked_batch(y)])}

    def forward(self, prepared: Prepared) -> Conditioning:
        """{"labels": (B,)} → the embedding of each."""
        embedded: Tensor = self.embedding(prepared["labels"])  # (B, D)
        if self.config.target == "vector":
            return Conditioning(vector=embedded)
        return Conditioning(context=embedded[:, None])  # (B, 1, D)

    def encode(self, y: Sequence[Label]) -> Conditioning:
        """Raw labels → ``Conditioning`` on the module's device."""
        return self(move(self.prepare(y), self.embedding.weight.device))

    def notes(self, y: Sequence[Label]) -> list[str]:
        """Nothing of a label is ever left out."""
        self.prepare(y)
        return []

    def _row(self, label: Label) -> int:
        if label is None:
            return self.config.num_classes
        if isinstance(label, str):
            return self._named(label)
        try:
            row = -1 if isinstance(label, bool) else operator.index(label)
        except TypeError:
            row = -1
        if not 0 <= row < self.config.num_classes:
            raise RequestError(
                f"class label is {label!r}; "
                f"give an integer from 0 to {self.config.num_classes - 1}, or None for no class"
            )
        return row

    def _named(self, name: str) -> int:
        if self.config.names is None:
            raise RequestError(
                f"class label is {name!r}, but this model has no class names; "
                f"give an integer from 0 to {self.config.num_classes - 1}"
            )
        if name not in self.config.names:
            raise RequestError(f"class label is {name!r}; choose one of {listed(self.config.names)}")
        return self.config.names.index(name)

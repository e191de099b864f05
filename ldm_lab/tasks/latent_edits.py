"""Edits of a noisy latent on its way: values that are compared, kept in a record, and give the same bits every time.

A recipe is a row of edits, applied in order. What an edit leaves out (other cells, channels, images) stays as it is,
bit for bit.
"""

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from ldm_lab.core.config import check, from_dict, setting, to_dict
from ldm_lab.core.errors import ConfigError, LdmLabError, RequestError
from ldm_lab.core.seeding import sample_noise
from ldm_lab.tasks.picture_input import MaskPicture

MAX_PASTED_NUMBERS = 100_000  # in fp32 and base64 half a megabyte of a record; 4 × 128 × 128 latents have 65,536
NATURAL_RATIO = 1.5  # of standard deviations after and before; beyond it, the network sees what it never saw


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EditedPlace:
    """Where a recipe is applied.

    Attributes:
        before: The latents before the recipe. (B, C, h, w)
        seeds: Of the images.
        steps: z_t of every step of the run that is edited. (B, C, h, w) each
    """

    before: Tensor
    seeds: Sequence[int]
    steps: Sequence[Tensor] = ()


@dataclass(frozen=True, kw_only=True)
class LatentEdit:
    """What every edit is told: where it acts.

    Raises:
        RequestError: If a value is not accepted.
    """

    kind: ClassVar[str]

    region: MaskPicture | None = setting(None, help="Cells of the latent that change: white ones; None: all.")
    channels: tuple[int, ...] = setting((), help="Channels that change, counted from 0; empty: all.", minimum=0)
    image: int | None = setting(None, help="Image that changes, counted from 0; None: every.", minimum=0)

    def __post_init__(self) -> None:
        check(self, error=RequestError)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """As for settings: lists count as tuples, and the region may be an array or tensor (h, w), 1 = changes.

        Raises:
            RequestError: If a name is unknown or a value is not accepted.
        """
        if values.get("region") is not None:
            values["region"] = MaskPicture.of(values["region"])
        try:
            return from_dict(cls, values)
        except ConfigError as error:
            raise RequestError(str(error)) from error

    def apply(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        """The edited latents. (B, C, h, w)

        Raises:
            RequestError: If the region, a channel or the image does not belong to these latents.
        """
        return torch.where(self._mask(z_t), self._changed(z_t, place), z_t)

    def _changed(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        """The latents if everything was edited. (B, C, h, w) or what broadcasts to it"""
        raise NotImplementedError

    def _mask(self, z_t: Tensor) -> Tensor:
        """Where it acts. bool (B, C, h, w)"""
        mask = torch.ones_like(z_t, dtype=torch.bool)
        if self.region is not None:
            mask &= self._cells(z_t)
        if self.channels:
            mask &= _chosen(self.channels, z_t.shape[1], "channels").to(z_t.device)[:, None, None]
        if self.image is not None:
            mask &= _chosen((self.image,), len(z_t), "image").to(z_t.device)[:, None, None, None]
        return mask

    def _cells(self, z_t: Tensor) -> Tensor:
        """bool (h, w)"""
        height, width = z_t.shape[2:]
        if self.region.size != (width, height):
            raise RequestError(
                f"the region has {self.region.width} x {self.region.height} cells, the latents {width} x {height}; "
                "give one cell of the region for each of the latent"
            )
        return self.region.tensor()[0, 0].bool().to(z_t.device)


@dataclass(frozen=True, kw_only=True)
class Paint(LatentEdit):
    """Set numbers of the latent."""

    kind: ClassVar[str] = "paint"

    value: float = setting(0.0, help="The number set; typical ones lie within 3 of 0.", minimum=-100.0, maximum=100.0)

    def _changed(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        return torch.full_like(z_t, self.value)


@dataclass(frozen=True, kw_only=True)
class Adjust(LatentEdit):
    """Multiply numbers of the latent, and add to them."""

    kind: ClassVar[str] = "adjust"

    gain: float = setting(1.0, help="Factor; 0 wipes out, -1 turns round.", minimum=-100.0, maximum=100.0, step=0.1)
    shift: float = setting(0.0, help="What is added afterwards.", minimum=-100.0, maximum=100.0, step=0.1)

    def _changed(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        return self.gain * z_t + self.shift


@dataclass(frozen=True, kw_only=True)
class AddNoise(LatentEdit):
    """Replace a share of the latent by noise, so that its variance stays: sqrt(1 - a^2) z_t + a noise."""

    kind: ClassVar[str] = "noise"

    amount: float = setting(1.0, help="0: none; 1: noise alone.", minimum=0.0, maximum=1.0, step=0.05)
    draw: int = setting(0, help="Which draw of each image's seed.", minimum=0, maximum=2**32 - 1)

    def _changed(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        noise = sample_noise(z_t.shape[1:], place.seeds, stream=f"edit {self.draw}").to(z_t)
        return math.sqrt(1.0 - self.amount**2) * z_t + self.amount * noise


@dataclass(frozen=True, kw_only=True)
class Copy(LatentEdit):
    """Copy cells from elsewhere in the latent, or from another step of the same run; what leaves an edge comes back at
    the other."""

    kind: ClassVar[str] = "copy"

    rows: int = setting(0, help="Cells by which the copy lies lower than its source.", minimum=-4096, maximum=4096)
    columns: int = setting(0, help="Cells by which it lies further right.", minimum=-4096, maximum=4096)
    from_step: int | None = setting(None, help="Step of the run that is copied from; None: this one.", minimum=0)

    def _changed(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        return self._source(z_t, place).roll((self.rows, self.columns), dims=(2, 3))

    def _source(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        if self.from_step is None:
            return z_t
        if self.from_step >= len(place.steps):
            raise RequestError(f"from_step is {self.from_step}; the run has the steps 0 to {len(place.steps) - 1}")
        source = place.steps[self.from_step]
        if source.dtype == torch.half:
            raise RequestError(
                f"from_step is {self.from_step}, which was kept in 16 bits; make the run with a larger budget for its "
                "trajectory"
            )
        return source.to(z_t)


@dataclass(frozen=True, slots=True)
class PastedLatent:
    """Numbers of a latent as a value; in JSON their shape, and fp32 in base64.

    Attributes:
        shape: (C, h, w), or (B, C, h, w) for one latent an image.
        numbers: Bytes, fp32, little-endian.
    """

    shape: tuple[int, ...]
    numbers: bytes

    @classmethod
    def of(cls, source: Any) -> Self:
        """Take a tensor (C, h, w) or (B, C, h, w).

        Raises:
            RequestError: If it is none, or too large for the record of a run.
        """
        if isinstance(source, cls):
            return source
        if not isinstance(source, Tensor) or source.ndim not in (3, 4) or not source.is_floating_point():
            raise RequestError(f"a latent to paste is {source!r:.60}; give a float tensor (C, h, w) or (B, C, h, w)")
        if source.numel() > MAX_PASTED_NUMBERS:
            raise RequestError(
                f"a latent to paste has {source.numel()} numbers, at most {MAX_PASTED_NUMBERS} are accepted, so that "
                "the results can carry it; paste fewer images or a smaller latent"
            )
        return cls(tuple(source.shape), source.detach().cpu().float().numpy().astype("<f4").tobytes())

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what ``to_json`` made.

        Raises:
            RequestError: If it is damaged.
        """
        try:
            shape, data = [int(side) for side in value["shape"]], base64.b64decode(value["numbers"], validate=True)
            numbers = torch.from_numpy(np.frombuffer(data, "<f4").copy()).reshape(shape)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RequestError(f"a pasted latent in a record is damaged: {error!s:.100}") from error
        return cls.of(numbers)

    def to_json(self) -> dict[str, Any]:
        """Shape and numbers."""
        return {"shape": list(self.shape), "numbers": base64.b64encode(self.numbers).decode()}

    def tensor(self) -> Tensor:
        """fp32, of ``shape``."""
        return torch.from_numpy(np.frombuffer(self.numbers, "<f4").copy()).reshape(self.shape)

    def __repr__(self) -> str:
        return f"PastedLatent({' x '.join(map(str, self.shape))})"


@dataclass(frozen=True, kw_only=True)
class Paste(LatentEdit):
    """Put numbers from anywhere into the latent: from another run, or from a picture that was encoded and diffused."""

    kind: ClassVar[str] = "paste"

    latent: PastedLatent = setting(dataclasses.MISSING, help="A latent of the same size.")

    @classmethod
    def of(cls, **values: Any) -> Self:
        """As for every edit; the latent may be a tensor (C, h, w) or (B, C, h, w)."""
        if "latent" in values:
            values["latent"] = PastedLatent.of(values["latent"])
        return super().of(**values)

    def _changed(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        latent = self.latent.tensor().to(z_t)
        if latent.shape not in (z_t.shape, z_t.shape[1:]):
            raise RequestError(f"the latent to paste has shape {tuple(latent.shape)}, the run's {tuple(z_t.shape)}")
        return latent


@dataclass(frozen=True, kw_only=True)
class SwapChannels(LatentEdit):
    """Exchange two channels: ``channels`` names them."""

    kind: ClassVar[str] = "swap"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.channels)) != 2 or len(self.channels) != 2:
            raise RequestError(f"channels is {self.channels}; name the two that change places")

    def _changed(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        _chosen(self.channels, z_t.shape[1], "channels")
        first, second = self.channels
        order = list(range(z_t.shape[1]))
        order[first], order[second] = second, first
        return z_t[:, order]


@dataclass(frozen=True, kw_only=True)
class Renormalise(LatentEdit):
    """Give every channel of every image the mean and the standard deviation that it had before the recipe."""

    kind: ClassVar[str] = "renormalise"

    def _changed(self, z_t: Tensor, place: EditedPlace) -> Tensor:
        mean, deviation = _moments(z_t)
        wanted_mean, wanted_deviation = _moments(place.before)
        tiny = torch.finfo(z_t.dtype).tiny  # of what was painted flat, the mean is all there is
        return (z_t - mean) / deviation.clamp(min=tiny) * wanted_deviation + wanted_mean


EDITS: dict[str, type[LatentEdit]] = {
    edit.kind: edit for edit in (Paint, Adjust, AddNoise, Copy, Paste, SwapChannels, Renormalise)
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Edits in order; none of them leaves the latents as they are."""

    edits: tuple[LatentEdit, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.edits)

    def apply(self, place: EditedPlace) -> Tensor:
        """The latents of a place, edited. (B, C, h, w)

        Raises:
            RequestError: If an edit does not fit the latents.
        """
        z_t = place.before
        for edit in self.edits:
            z_t = edit.apply(z_t, place)
        return z_t

    def to_json(self) -> list[dict[str, Any]]:
        """What each edit is and is told."""
        return [{"kind": edit.kind, **to_dict(edit)} for edit in self.edits]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what ``to_json`` made.

        Raises:
            RequestError: If an edit is unknown or a value is not accepted.
        """
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise RequestError(f"a recipe is a list of edits, this one is {value!r:.60}")
        return cls(tuple(map(_read_edit, value)))


def unnatural_spread(before: Tensor, after: Tensor) -> list[str]:
    """Say of which images an edit changed the standard deviation beyond what the network knows. (B, C, h, w) each"""
    ratios = (after.flatten(1).std(1, correction=0) / before.flatten(1).std(1, correction=0)).tolist()
    return [
        f"image {index}: the edit made the standard deviation of its latent {ratio:.2f} times as large; "
        "the network never saw such latents, Renormalise() brings the old one back"
        for index, ratio in enumerate(ratios)
        if not 1 / NATURAL_RATIO <= ratio <= NATURAL_RATIO
    ]


def _read_edit(values: Mapping[str, Any]) -> LatentEdit:
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in EDITS:
        raise RequestError(f"an edit is of kind {kind!r:.40}; known are {', '.join(EDITS)}")
    try:
        return from_dict(EDITS[kind], {name: value for name, value in values.items() if name != "kind"})
    except LdmLabError as error:
        raise RequestError(f"the edit {kind!r} cannot be read: {error!s:.300}") from error


def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel. (B, C, 1, 1) each"""
    return z.mean((2, 3), keepdim=True), z.std((2, 3), keepdim=True, correction=0)


def _chosen(numbers: tuple[int, ...], count: int, name: str) -> Tensor:
    """Which of ``count`` are meant. bool (count,)"""
    beyond = [number for number in numbers if number >= count]
    if beyond:
        raise RequestError(f"{name} is {beyond[0]}, but there are {count}, counted from 0")
    return torch.tensor([index in numbers for index in range(count)])

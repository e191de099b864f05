"""What else shaped a picture, besides its settings: the model, and the machine and versions that ran it."""

from dataclasses import dataclass

from torch import nn

from ldm_lab.core.config import check, differences
from ldm_lab.core.errors import ConfigError
from ldm_lab.core.runtime import describe_device, versions

SEED_CONTRACT = 1  # noise of image i: a function of (seed i, step), drawn on the CPU in fp32; see ldm_lab.core.seeding


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Which model: a name for people, SHA-256 of its weights for certainty; digests of one in memory are empty."""

    name: str = "unnamed"
    digest: str = ""
    first_stage_digest: str = ""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Where it ran. PyTorch promises equal bits only where all of it is equal."""

    device: str
    dtype: str
    versions: dict[str, str]
    seed_contract: int = SEED_CONTRACT

    def __post_init__(self) -> None:
        check(self)
        if not all(isinstance(word, str) for pair in self.versions.items() for word in pair):
            raise ConfigError(f"versions is {self.versions!r}; it must map names to version strings")


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What has to be equal for the same settings to give the same picture bit for bit."""

    model: Origin
    environment: Environment


def provenance_of(model: nn.Module, origin: Origin) -> Provenance:
    """That of a run made here and now."""
    weight = next(model.parameters())
    dtype = str(weight.dtype).removeprefix("torch.")
    environment = Environment(device=describe_device(weight.device), dtype=dtype, versions=versions())
    return Provenance(model=origin, environment=environment)


def spell_differences(then: Provenance, now: Provenance) -> list[str]:
    """One sentence for each thing that is not as it was."""
    found = differences(then, now)
    return [f"{name} was {old or 'absent'}, now it is {new or 'absent'}" for name, (old, new) in found.items()]

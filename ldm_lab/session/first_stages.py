"""First stages that can be put beside each other: those that are on this machine, and those that can be trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.checkpoints import ZOO, load_autoencoder, read_checkpoint, shipped_first_stages
from ldm_lab.core.config import from_dict
from ldm_lab.core.errors import CheckpointError
from ldm_lab.core.io import read_json
from ldm_lab.training.presets import AUTOENCODERS

RUNS = Path("runs")  # where ``ldm-lab train autoencoder`` leaves what it trains, below the working directory
WORLD = "shapes"


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstStageEntry:
    """A first stage, here or still to be trained.

    Attributes:
        name: Of the shipped one, of the recipe that trains it, or the end of its folder's path.
        config: What it is.
        folder: Where its weights are; None: nowhere.
    """

    name: str
    config: AutoencoderConfig
    folder: Path | None

    @property
    def title(self) -> str:
        """Bottleneck and downsampling factor, such as "KL, f = 4"."""
        return f"{self.bottleneck}, f = {self.config.downsampling_factor}"

    @property
    def bottleneck(self) -> str:
        """KL or VQ."""
        return self.config.bottleneck.kind.upper()

    @property
    def has_codes(self) -> bool:
        """Whether it has a codebook."""
        return isinstance(self.config.bottleneck, VQConfig)

    @property
    def command(self) -> str:
        """What trains it."""
        return f"ldm-lab train autoencoder --preset {self.name}"


class LoadedFirstStages:
    """First stages by their folders, each loaded once; ask for them in the thread that computes."""

    def __init__(self) -> None:
        self._loaded: dict[Path, Autoencoder] = {}

    def of(self, folder: Path, *, device: torch.device) -> Autoencoder:
        """The first stage of a folder.

        Raises:
            CheckpointError: If it is none, or damaged.
        """
        if folder not in self._loaded:
            self._loaded[folder] = load_autoencoder(folder).to(device)
        return self._loaded[folder]


def lines_that_load(folder: Path) -> list[str]:
    """Lines that define ``first_stage``; a shipped one goes by its name, so that they hold on every machine."""
    if folder.parent == ZOO:
        names, place = "load_autoencoder, locate_first_stage", f"locate_first_stage({folder.name!r})"
    else:
        names, place = "load_autoencoder", repr(str(folder))
    return [f"from ldm_lab.checkpoints import {names}", "", f"first_stage = load_autoencoder({place})"]


def list_first_stages(folders: Sequence[str | Path] = ()) -> list[FirstStageEntry]:
    """Those that are shipped, those that recipes of the built-in world train, and further folders; by factor.

    Args:
        folders: Of native autoencoders.

    Raises:
        CheckpointError: If a folder of ``folders`` is no autoencoder's.
    """
    entries = {name: _shipped(name) for name in shipped_first_stages()}
    recipes = {name: make() for name, make in AUTOENCODERS.items() if name.startswith(f"{WORLD}-")}
    for name, recipe in recipes.items():
        entries.setdefault(name, FirstStageEntry(name=name, config=recipe.autoencoder, folder=_trained(name)))
    own = [_in_folder(Path(folder)) for folder in folders]
    return sorted([*entries.values(), *own], key=lambda entry: (entry.config.downsampling_factor, entry.bottleneck))


def _shipped(name: str) -> FirstStageEntry:
    """Its config alone is read; the rest is verified when it is loaded."""
    config = from_dict(AutoencoderConfig, read_json(ZOO / name / "config.json")["config"])
    return FirstStageEntry(name=name, config=config, folder=ZOO / name)


def _trained(name: str) -> Path | None:
    folder = RUNS / f"autoencoder-{name}" / "model"
    try:
        read_checkpoint(folder, kind="autoencoder")
    except CheckpointError:
        return None
    return folder.resolve()


def _in_folder(folder: Path) -> FirstStageEntry:
    checkpoint = read_checkpoint(folder, kind="autoencoder")
    config = from_dict(AutoencoderConfig, checkpoint.entry("config"))
    name = "/".join(folder.resolve().parts[-2:])  # the last part alone is "model" wherever it was trained
    return FirstStageEntry(name=name, config=config, folder=folder)

"""The models that the page offers: known by their configs, loaded when they are asked for, let go when others are."""

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ldm_lab as lab
from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.checkpoints import (
    ZOO,
    Checkpoint,
    load_autoencoder,
    read_checkpoint,
    shipped_first_stages,
    shipped_models,
)
from ldm_lab.core.config import from_dict
from ldm_lab.core.errors import LdmLabError, RequestError
from ldm_lab.core.runtime import choose_device
from ldm_lab.model import LatentDiffusionConfig
from ldm_lab.session import Session
from ldm_lab.tasks import GuidedSettings, Pipeline, TaskSettings
from ldm_lab.tasks.kinds import KINDS, LOW_RESOLUTION, Kind

TRAJECTORY_BYTES = 32_000_000  # of one run; a class of thirty keeps thirty runs
FRAMES_PER_SECOND = 6.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What is known of a model before it is loaded.

    Attributes:
        name: What the page calls it.
        folder: Where it lies.
        kind: What it is conditioned on.
        config: Of all its parts.
        defaults: What it recommends.
    """

    name: str
    folder: Path
    kind: Kind
    config: LatentDiffusionConfig
    defaults: GuidedSettings

    @classmethod
    def of(cls, checkpoint: Checkpoint, name: str) -> "Card":
        """Read the config of a checkpoint."""
        config = from_dict(LatentDiffusionConfig, checkpoint.entry("config"))
        kind = next(kind for kind in KINDS if type(config.conditioner) in kind.configs)
        defaults = GuidedSettings.of(**checkpoint.entry("defaults"))
        return cls(name=name, folder=checkpoint.folder, kind=kind, config=config, defaults=defaults)

    @property
    def is_shipped(self) -> bool:
        """Whether it came with the package."""
        return self.folder.parent == ZOO

    @property
    def loaded_as(self) -> str:
        """What ``lab.load`` takes: the shipped name, or else the folder."""
        return self.name if self.is_shipped else str(self.folder)

    def resolved(self, settings: TaskSettings) -> TaskSettings:
        """Settings with nothing left open, as the model itself would say."""
        return settings.resolved(image_size=self.config.image_size, defaults=self.defaults)

    def advice(self, settings: type[TaskSettings], names: Iterable[str]) -> dict[str, Any]:
        """What fields of settings should hold at first: what the model recommends, or else their own defaults."""
        recommended = self.resolved(self.defaults)
        defaults = {field.name: field.default for field in dataclasses.fields(settings)}
        return {name: getattr(recommended, name, defaults.get(name)) for name in names}

    def num_pixels(self, settings: TaskSettings) -> int:
        """Pixels of one image of resolved settings; a model that enlarges makes more of them than its picture has."""
        factor = self.config.conditioner.factor if self.kind is LOW_RESOLUTION else 1
        return factor**2 * settings.width * settings.height


class Models:
    """Shipped models and folders by name; of the loaded ones, those used last stay.

    Attributes:
        cards: What is known of each model.
        stages: Folders of the first stages.
        device: Where they compute.
    """

    def __init__(
        self,
        folders: Sequence[str | Path] = (),
        *,
        device: str = "auto",
        capacity: int = 2,
        shipped: bool = True,
        load: Callable[[Path, str], Pipeline] = lambda folder, device: lab.load(folder, device=device),
    ) -> None:
        """Read the configs.

        Args:
            folders: Checkpoints besides the shipped ones: models or first stages.
            device: ``"auto"``, ``"cpu"``, ``"cuda"``, …
            capacity: How many models may stay in memory.
            shipped: Whether the models of the package are offered too.
            load: Brings a model into memory.

        Raises:
            CheckpointError: If a folder is no checkpoint.
            RequestError: If two have one name, or there is no model at all.
        """
        self.device = str(choose_device(device))
        self.cards: dict[str, Card] = {}
        self.stages: dict[str, Path] = {}
        self._capacity, self._load = capacity, load
        self._sessions: dict[str, Session] = {}  # the one used last stands last
        self._users: dict[str, int] = {}
        self._lock = threading.RLock()
        names = [*shipped_models(), *shipped_first_stages()] if shipped else []
        for folder in [*map(Path, folders), *(ZOO / name for name in names)]:
            self._add(folder)
        if not self.cards:
            raise RequestError("there is no model to show; give the folder of one: ldm-lab studio FOLDER")

    def serving(self, *kinds: Kind) -> list[str]:
        """Names of the models of some kinds: those that were brought before those of the package, and by kind."""
        cards = [card for card in self.cards.values() if card.kind in kinds]
        cards.sort(key=lambda card: (card.is_shipped, kinds.index(card.kind)))
        return [card.name for card in cards]

    def card(self, name: object) -> Card:
        """The card of that name.

        Raises:
            RequestError: If there is none.
        """
        if not isinstance(name, str) or name not in self.cards:
            raise RequestError(f"there is no model {name!r:.60} here; choose one of {', '.join(self.cards)}")
        return self.cards[name]

    @contextmanager
    def lent(self, name: object) -> Iterator[Session]:
        """The session of a model, which stays loaded at least as long as the block lasts."""
        card = self.card(name)
        with self._lock:
            session = self._taken(card)
            self._users[card.name] = self._users.get(card.name, 0) + 1
        try:
            yield session
        finally:
            with self._lock:
                self._users[card.name] -= 1
                self._let_go(self._capacity)

    def warm_up(self, *kinds: Kind) -> None:
        """Load the first model of some kinds before anybody asks; the first click is then as quick as others.

        Nothing waits for it. What is wrong with it is said to the first visitor who asks for it.
        """

        def load() -> None:
            for name in self.serving(*kinds)[:1]:
                with suppress(LdmLabError), self.lent(name):
                    pass

        threading.Thread(target=load, name="ldm_lab studio warms up", daemon=True).start()

    def first_stage(self, name: object) -> Autoencoder:
        """A first stage on its own; nothing keeps it.

        Raises:
            RequestError: If there is none of that name.
        """
        if not isinstance(name, str) or name not in self.stages:
            raise RequestError(f"there is no first stage {name!r:.60} here; choose one of {', '.join(self.stages)}")
        return load_autoencoder(self.stages[name]).to(self.device)

    @property
    def loaded(self) -> list[str]:
        """Names of the models in memory."""
        with self._lock:
            return list(self._sessions)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()

    def _add(self, folder: Path) -> None:
        checkpoint = read_checkpoint(folder)
        if checkpoint.name in self.cards or checkpoint.name in self.stages:
            raise RequestError(f"two folders are called {checkpoint.name!r:.80}; rename one, so that the page can tell")
        if checkpoint.kind == "autoencoder":
            self.stages[checkpoint.name] = checkpoint.folder
        else:
            self.cards[checkpoint.name] = Card.of(checkpoint, checkpoint.name)

    def _taken(self, card: Card) -> Session:
        session = self._sessions.pop(card.name, None)
        if session is None:
            self._let_go(self._capacity - 1)  # before the new one needs the room
            model = self._load(card.folder, self.device)
            session = Session(model, trajectory_bytes=TRAJECTORY_BYTES, frames_per_second=FRAMES_PER_SECOND)
        self._sessions[card.name] = session
        return session

    def _let_go(self, capacity: int) -> None:
        """Close the sessions that were used longest ago and that nobody uses now, down to so many."""
        idle = [name for name in self._sessions if not self._users.get(name)]
        for name in idle[: max(0, len(self._sessions) - capacity)]:
            self._sessions.pop(name).close()

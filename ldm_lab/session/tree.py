"""Runs and those that left them, as a tree, and as a folder.

In the folder every run has one of its own:

    tree.json                     format, version, and the parent of each run
    run-0/run.json                settings, provenance, notes, and which tensors each step consists of
    run-0/latents.safetensors     of a branch the steps of its own, the others are its parent's
    run-0/image-0-seed-7.png      each carries its run
    manifest.json                 size and SHA-256 of all of them
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from PIL import Image
from torch import Tensor

from ldm_lab.checkpoints import read_tensors, write_tensors
from ldm_lab.core.config import check, from_dict, to_dict
from ldm_lab.core.errors import CheckpointCorruptError, CheckpointFormatError, RequestError
from ldm_lab.core.images import read_image
from ldm_lab.core.io import MANIFEST, atomic_folder, read_json, verify_manifest, write_json, write_manifest
from ldm_lab.core.runtime import versions
from ldm_lab.sampling import Step
from ldm_lab.tasks import Branch, Outcome, Provenance, Recipe, Run, TaskSettings, task_named

FORMAT, VERSION = "ldm_lab runs", 1
TREE, RUN, LATENTS = "tree.json", "run.json", "latents.safetensors"
LATENT_NAMES = ("z_t", "z_0_pred", "noise_pred", "z_next", "output")
MAX_RUNS, MAX_STEPS = 1000, 100_000
MAX_RUN_BYTES = 20_000_000  # settings may hold two pictures of 4 MB, and every step has a line or six

Decode = Callable[[Tensor], list[Image.Image]]


class RunTree:
    """Runs in the order in which they were added; none comes before the one that it left.

    Attributes:
        runs: All of them.
    """

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self.runs: list[Run] = []
        for run in runs:
            self.add(run)

    def add(self, run: Run) -> None:
        """Add a run, and before it those that it comes from; what is there already stays where it is."""
        for member in self.path(run):
            if not any(member is other for other in self.runs):
                self.runs.append(member)

    def path(self, run: Run) -> list[Run]:
        """The run and all that it comes from, the oldest first."""
        path = [run]
        while path[0].branch is not None:
            path.insert(0, path[0].branch.parent)
        return path

    @property
    def roots(self) -> list[Run]:
        """Runs that left no other."""
        return [run for run in self.runs if run.branch is None]

    def children(self, run: Run) -> list[Run]:
        """Runs that left this one."""
        return [other for other in self.runs if other.branch is not None and other.branch.parent is run]

    def save(self, folder: str | Path, *, replace: bool = False) -> Path:
        """Write all runs; the folder appears whole or not at all.

        Args:
            folder: Where to.
            replace: Take the place of an existing folder.

        Raises:
            CheckpointError: If it exists, or cannot be written.
        """
        with atomic_folder(folder, replace=replace) as temporary:
            for number, run in enumerate(self.runs):
                _write_run(temporary / _name(number), run)
            parents = [self._parent_of(run) for run in self.runs]
            write_json(temporary / TREE, {"format": FORMAT, "version": VERSION, "parents": parents})
            write_manifest(temporary, about={"versions": versions()})
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path, *, decode: Decode | None = None) -> Self:
        """Read a folder that ``save`` wrote; nothing is computed again.

        Args:
            folder: Where from.
            decode: What decodes latents (B, C, h, w), such as ``session.decode``; without it a run has its images and
                its trajectory, and cannot decode others.

        Raises:
            CheckpointError: If the folder is missing, damaged, altered or of another version.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise CheckpointFormatError(f"{folder} holds no runs: it has no {MANIFEST}; check the path")
        _check_complete(folder, verify_manifest(folder)["files"])
        tree = cls()
        for number, parent in enumerate(_read_parents(folder)):
            left = None if parent is None else tree.runs[parent]
            tree.runs.append(_read_run(folder / _name(number), left, decode or _no_decoder))
        return tree

    def _parent_of(self, run: Run) -> int | None:
        if run.branch is None:
            return None
        return next(number for number, other in enumerate(self.runs) if other is run.branch.parent)

    def __repr__(self) -> str:
        return f"RunTree({len(self.runs)} runs, {len(self.roots)} roots)"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredStep:
    """Which tensors a step consists of, by their names."""

    index: int
    t: int | float
    z_t: str
    z_0_pred: str
    noise_pred: str
    z_next: str
    output: str

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRun:
    """What ``run.json`` holds of a run."""

    task: str
    settings: TaskSettings
    stopped_after: int | None
    provenance: Provenance
    notes: tuple[str, ...]
    duration_sec: float
    stride: int
    left_at: int | None
    recipe: Recipe
    steps: tuple[StoredStep, ...]

    def __post_init__(self) -> None:
        check(self)
        if len(self.steps) > MAX_STEPS:
            raise RequestError(f"the run has {len(self.steps)} steps, at most {MAX_STEPS} are read")


def _name(number: int) -> str:
    return f"run-{number}"


def _write_run(folder: Path, run: Run) -> None:
    folder.mkdir()
    outcome, branch = run.outcome, run.branch
    own = run.trajectory if branch is None else run.trajectory[branch.step :]
    tensors = {id(tensor): tensor for step in own for tensor in _latents(step).values()}
    names = {key: str(number) for number, key in enumerate(tensors)}
    stored = StoredRun(
        task=run.settings.task,
        settings=run.settings,
        stopped_after=outcome.stopped_after,
        provenance=outcome.provenance,
        notes=outcome.notes,
        duration_sec=outcome.duration_sec,
        stride=outcome.stride,
        left_at=None if branch is None else branch.step,
        recipe=Recipe() if branch is None else branch.recipe,
        steps=tuple(_stored(step, names) for step in own),
    )
    write_json(folder / RUN, to_dict(stored))
    write_tensors(folder / LATENTS, {names[key]: tensor for key, tensor in tensors.items()})
    for name, image in zip(run.settings.image_names, run.images, strict=True):
        image.save(folder / f"{name}.png")


def _stored(step: Step, names: dict[int, str]) -> StoredStep:
    return StoredStep(
        index=step.index, t=step.t, **{name: names[id(tensor)] for name, tensor in _latents(step).items()}
    )


def _latents(step: Step) -> dict[str, Tensor]:
    return {name: getattr(step, name) for name in LATENT_NAMES}


def _read_parents(folder: Path) -> list[int | None]:
    content = read_json(folder / TREE)
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise CheckpointFormatError(f"{folder / TREE} does not say format {FORMAT!r}, version {VERSION}")
    parents = content.get("parents")
    if not isinstance(parents, list) or len(parents) > MAX_RUNS:
        raise CheckpointFormatError(f"{folder / TREE} does not list up to {MAX_RUNS} runs and their parents")
    for number, parent in enumerate(parents):
        if parent is not None and (type(parent) is not int or not 0 <= parent < number):
            raise CheckpointFormatError(f"{folder / TREE}: run {number} left {parent!r:.40}, which is not before it")
    return parents


def _check_complete(folder: Path, listed: dict[str, Any]) -> None:
    """What the manifest does not list is not verified."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    unlisted = sorted(found - set(listed) - {MANIFEST})
    if unlisted:
        raise CheckpointCorruptError(
            f"{folder / MANIFEST} does not list {unlisted[0]:.80}; restore the folder from its source"
        )


def _read_run(where: Path, parent: Run | None, decode: Decode) -> Run:
    try:
        stored = _parse(read_json(where / RUN, max_bytes=MAX_RUN_BYTES))
        tensors = read_tensors(where / LATENTS)
        branch = _read_branch(stored, parent)
        own = tuple(_restored(step, tensors) for step in stored.steps)
        images = tuple(read_image(where / f"{name}.png") for name in stored.settings.image_names)
    except (RequestError, ValueError, KeyError) as error:
        raise CheckpointFormatError(f"{where} cannot be read as a run: {error!s:.300}") from error
    outcome = Outcome(
        images=images,
        trajectory=(*(() if branch is None else branch.shared), *own),
        notes=stored.notes,
        stopped_after=stored.stopped_after,
        provenance=stored.provenance,
        duration_sec=stored.duration_sec,
        decode=decode,
        stride=stored.stride,
        branch=branch,
    )
    return Run(stored.settings, lambda: outcome)


def _parse(values: Any) -> StoredRun:
    if not isinstance(values, dict):
        raise RequestError(f"a run is a mapping, this one a {type(values).__name__}")
    settings = from_dict(task_named(values.get("task")).settings, values.get("settings", {}))
    return from_dict(StoredRun, {**values, "settings": settings})


def _read_branch(stored: StoredRun, parent: Run | None) -> Branch | None:
    if parent is None and stored.left_at is None:
        return None
    if parent is None or stored.left_at is None:
        raise RequestError(f"left_at is {stored.left_at}, which does not agree with {TREE}")
    return Branch(parent=parent, step=stored.left_at, recipe=stored.recipe)


def _restored(step: StoredStep, tensors: dict[str, Tensor]) -> Step:
    names = {name: getattr(step, name) for name in LATENT_NAMES}
    missing = [name for name in names.values() if name not in tensors]
    if missing:
        raise RequestError(f"step {step.index} needs the tensor {missing[0]!r:.40}, which is not there")
    latents = {name: tensors[key] for name, key in names.items()}
    if len({latent.shape for latent in latents.values()}) > 1:
        raise RequestError(f"the latents of step {step.index} differ in shape")
    return Step(step.index, step.t, **latents)


def _no_decoder(z: Tensor) -> list[Image.Image]:
    raise RequestError(
        "the run was loaded without a model; load it with RunTree.load(folder, decode=session.decode) to decode latents"
    )

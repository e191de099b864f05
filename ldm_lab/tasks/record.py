"""The record of a run: everything that recreates it, as strict JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ldm_lab.core.config import check, from_dict, setting
from ldm_lab.core.errors import LdmLabError, RequestError
from ldm_lab.tasks.catalogue import task_named
from ldm_lab.tasks.latent_edits import Recipe
from ldm_lab.tasks.provenance import Provenance
from ldm_lab.tasks.settings import TaskSettings

VERSION = 1
MAX_ANCESTORS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """What a PNG carries and ``run.json`` holds.

    Attributes:
        task: Which task it was.
        settings: With nothing left open.
        stopped_after: Steps taken, if it was stopped before the end.
        provenance: Model, machine and versions.
        version: Of this format.
        branch: Where it left another run, if it did.
    """

    task: str
    settings: TaskSettings
    stopped_after: int | None = setting(None, help="Steps taken.", minimum=1)
    provenance: Provenance
    version: int = VERSION
    branch: "BranchRecord | None" = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class BranchRecord:
    """Where a run left another one.

    Attributes:
        step: Place in the other's trajectory.
        recipe: What was done to the latent there.
        parent: What recreates the other run.
    """

    step: int = setting(0, help="Place in the trajectory.", minimum=0)
    recipe: Recipe = Recipe()  # noqa: RUF009 (frozen)
    parent: RunRecord

    def __post_init__(self) -> None:
        check(self)


def parse_record(values: Mapping[str, Any], *, source: str) -> RunRecord:
    """Read a record from JSON values, whoever wrote them.

    Args:
        values: Content of the record.
        source: What error messages call it.

    Raises:
        RequestError: If it is of another version or a value is not accepted.
    """
    version = values.get("version")
    if version != VERSION:
        raise RequestError(
            f"{source}: the record has version {version!r:.40}, this ldm_lab reads {VERSION}; open it with a later one"
        )
    try:
        return _parse(values, ancestors=0)
    except LdmLabError as error:
        raise RequestError(f"{source} cannot be read as a run: {error!s:.300}") from error


def _parse(values: Any, *, ancestors: int) -> RunRecord:
    if ancestors > MAX_ANCESTORS:
        raise RequestError(f"it has more than {MAX_ANCESTORS} ancestors")
    if not isinstance(values, Mapping):
        raise RequestError(f"a run is a mapping, this one a {type(values).__name__}")
    if values.get("version") != VERSION:
        raise RequestError(f"the run that it left has version {values.get('version')!r:.40}, read are {VERSION}")
    read = {"settings": from_dict(task_named(values.get("task")).settings, values.get("settings"))}
    branch = values.get("branch")
    if isinstance(branch, Mapping):
        parent = _parse(branch.get("parent"), ancestors=ancestors + 1)
        read["branch"] = from_dict(BranchRecord, {**branch, "parent": parent})
    return from_dict(RunRecord, {**values, **read})

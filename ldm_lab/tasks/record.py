"""The record of a run: everything that recreates it, as strict JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ldm_lab.core.config import check, from_dict, setting
from ldm_lab.core.errors import LdmLabError, RequestError
from ldm_lab.tasks.catalogue import task_named
from ldm_lab.tasks.provenance import Provenance
from ldm_lab.tasks.settings import TaskSettings

VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """What a PNG carries and ``run.json`` holds.

    Attributes:
        task: Which task it was.
        settings: With nothing left open.
        stopped_after: Steps taken, if it was stopped before the end.
        provenance: Model, machine and versions.
        version: Of this format.
    """

    task: str
    settings: TaskSettings
    stopped_after: int | None = setting(None, help="Steps taken.", minimum=1)
    provenance: Provenance
    version: int = VERSION

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
        settings = from_dict(task_named(values.get("task")).settings, values.get("settings"))
        return from_dict(RunRecord, {**values, "settings": settings})
    except LdmLabError as error:
        raise RequestError(f"{source} cannot be read as a run: {error!s:.300}") from error

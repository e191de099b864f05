"""Which panels are open where: a cell that is run again closes the panels that it opened before."""

import sys
import threading
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Let go of everything."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel was opened.

    Attributes:
        key: What a later panel has to share to take its place.
        execution: Of one run of a cell; panels of the same one stand side by side.
    """

    key: tuple[str, str]
    execution: str


_open: WeakKeyDictionary[Any, Place] = WeakKeyDictionary()
_changed = threading.Lock()


def take_place(panel: Closable, name: str | None) -> None:
    """Register a panel, and close those whose place it takes: of the same name, or opened by the same cell before."""
    place = Place(("name", name), "") if name is not None else _current_place(type(panel).__name__)
    with _changed:
        if place is None:
            return
        earlier = [other for other, its in _open.items() if its.key == place.key and _is_replaced(its, place)]
        _open[panel] = place
    for other in earlier:
        other.close()


def leave_place(panel: Closable) -> None:
    """Forget a panel that was closed."""
    with _changed:
        _open.pop(panel, None)


def _is_replaced(its: Place, new: Place) -> bool:
    return its.key[0] == "name" or its.execution != new.execution


def _current_place(kind: str) -> Place | None:
    """The cell that is running, if a kernel knows it; JupyterLab says which one it is."""
    parent = _parent_message()
    cell = parent.get("metadata", {}).get("cellId")
    if cell is None:
        return None
    return Place((kind, cell), parent.get("header", {}).get("msg_id", ""))


def _parent_message() -> dict[str, Any]:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    kernel = getattr(shell, "kernel", None)
    return {} if kernel is None else kernel.get_parent() or {}

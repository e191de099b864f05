"""What all views of our own are: a little JavaScript beside traits, and bytes that are delivered beside both.

The code is read once and handed to anywidget as text, because a path would be watched for changes. Bytes that are heavy
are delivered as messages: what is synced state is written into the notebook file.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any
from uuid import uuid4

import anywidget
import traitlets


def script(name: str, *parts: str) -> str:
    """The ES module ``static/NAME.js`` behind what all of them share, and behind parts that some do."""
    return "".join(_read(f"{part}.js") for part in ("shared", *parts, name))


def style(name: str, *parts: str) -> str:
    """The style sheet ``static/NAME.css`` behind what all of them share, and behind parts that some do."""
    return "".join(_read(f"{part}.css") for part in ("shared", *parts, name))


class BrowserView(anywidget.AnyWidget):
    """A view whose work is done in the browser.

    Traits may be assigned from any thread. Those that the worker's thread assigns must not be assigned by the browser,
    so that neither undoes what the other does; for answers of the browser there are traits of their own.
    """

    label = traitlets.Unicode("", help="What a screen reader calls it.").tag(sync=True)
    placeholder = traitlets.Unicode("", help="What stands there as long as there is nothing to show.").tag(sync=True)

    own_id = traitlets.Unicode(help="By which the script finds its own model.").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        own_id = uuid4().hex
        super().__init__(model_id=own_id, own_id=own_id, **traits)
        self._deliveries: dict[str, tuple[dict[str, Any], list[bytes]]] = {}
        self.on_msg(self._receive)

    def deliver(self, topic: str, buffers: Sequence[bytes] = (), *, key: str | None = None, **content: Any) -> None:
        """Hand bytes to every view that is open, and to those that open later; the newest of a topic counts.

        With keys, the newest of each key counts, for topics that are told of many things.

        In JavaScript, ``receive(model, { topic: (content, buffers) => … })`` takes them.
        """
        message = self._deliveries[key or topic] = ({"topic": topic, **content}, list(buffers))
        self.send(*message)

    def withdraw(self, topic: str) -> None:
        """Forget what was delivered; views that are open keep it until they are told something else."""
        self._deliveries.pop(topic, None)

    def delivered(self, topic: str) -> tuple[dict[str, Any], list[bytes]] | None:
        """What was delivered last."""
        return self._deliveries.get(topic)

    def _receive(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        if content.get("topic") == "ready":
            self.send_state([name for name in self.keys if not name.startswith("_")])  # changes may have been missed
            for message in list(self._deliveries.values()):
                self.send(*message)

    def close(self) -> None:
        """Let go of the bytes too."""
        self._deliveries.clear()
        super().close()


def synced_bytes(help: str) -> traitlets.Any:
    """A trait of bytes that the browser may assign: what arrives is a memoryview, which ``traitlets.Bytes`` refuses,
    and with it the whole update."""
    return traitlets.Any(b"", help=help).tag(sync=True, from_json=lambda value, _: bytes(value))


def _read(name: str) -> str:
    return (files("ldm_lab.widgets") / "static" / name).read_text(encoding="utf-8")

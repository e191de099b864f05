"""What every panel has: a status line, its Python, results and who hears of them, an end, and a picture for places
where no widget runs."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any, ClassVar, Self

import ipywidgets
from PIL import Image

from ldm_lab.core.errors import RequestError
from ldm_lab.core.io import write_atomic
from ldm_lab.session import Job, Session
from ldm_lab.tasks import Branch, Pipeline, Run, TaskSettings
from ldm_lab.widgets.cells import leave_place, take_place
from ldm_lab.widgets.static_form import page, static_bundle
from ldm_lab.widgets.status_line import StatusLine
from ldm_lab.widgets.watch import Watch


class PanelView(ipywidgets.VBox):
    """What is on the screen; beside the live view it offers a static one to places that run no widgets."""

    def __init__(self, panel: "Panel", children: Sequence[ipywidgets.Widget]) -> None:
        super().__init__(children)
        self.add_class("ldm-panel")
        self._panel = panel

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return super()._repr_mimebundle_(**options) | self._panel.static_bundle()


class Panel:
    """Base of the panels.

    A panel makes its controls, hands them to ``lay_out``, and says its Python in ``code``. It submits work and returns
    at once; what comes of it is told by a ``Watch``. Callbacks of controls go through ``guarded``.

    Attributes:
        title: What it is called.
        session: What computes; a panel does not close it.
        status: How things are.
        result: What it made last; None before.
    """

    title: ClassVar[str]

    def __init__(self, session: Session, *, name: str | None = None) -> None:
        """Open the panel.

        Args:
            session: What computes.
            name: A panel of the same name is closed; None: those that the same cell opened before are.
        """
        take_place(self, name)
        self.session = session
        self.status = StatusLine()
        self.result: Any = None
        self._callbacks: list[Callable[[Any], Any]] = []
        self._jobs: set[Job] = set()
        self._view: PanelView | None = None

    @property
    def run(self) -> Run | None:
        """The result, where it is a run."""
        return self.result if isinstance(self.result, Run) else None

    @property
    def pending(self) -> list[Job]:
        """What it asked for and has not got yet."""
        return [job for job in list(self._jobs) if not job.is_done]

    @property
    def is_closed(self) -> bool:
        """Whether it has let go of its widgets."""
        return self._view is None

    def code(self) -> str:
        """The Python that makes what the panel shows."""
        raise NotImplementedError

    def picture(self) -> Image.Image | None:
        """What stands for the panel where no widget runs; None: there is nothing to see yet."""
        return self.run.grid() if self.run else None

    def on_result(self, callback: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Call it with every result, in the thread that computes; usable as a decorator."""
        self._callbacks.append(callback)
        return callback

    def wait(self, timeout_sec: float | None = None) -> bool:
        """Wait until nothing is computed any more, for scripts and notebooks that are run through; whether it came in
        time."""
        while pending := self.pending:  # a result may have asked for more
            if not all(job.wait(timeout_sec) for job in pending):
                return False
        return True

    def close(self) -> None:
        """Cancel what it asked for, and let go of its widgets; the session stays open."""
        leave_place(self)
        for job in self.pending:
            job.cancel()
        view, self._view = self._view, None
        self._callbacks.clear()
        if view is not None:
            close_widgets(view)

    def show(self) -> PanelView:
        """The widget, to be displayed or put among others.

        Raises:
            RequestError: If the panel is closed.
        """
        if self._view is None:
            raise RequestError(f"the panel {self.title!r} is closed; open it again by running its cell")
        return self._view

    def static_bundle(self) -> dict[str, str]:
        """The panel as HTML and PNG, by their MIME types."""
        return static_bundle(title=self.title, caption=self.status.text, picture=self.picture(), code=self._safe_code())

    def save_html(self, path: str | Path) -> Path:
        """Write the static panel as a page that needs nothing else.

        Raises:
            CheckpointError: If it cannot be written.
        """
        write_atomic(path, page(self.title, self.static_bundle()["text/html"]).encode())
        return Path(path)

    # What panels use.

    def lay_out(self, *children: ipywidgets.Widget) -> None:
        """Put the panel together: title, the children, status line, Python."""
        heading = ipywidgets.HTML(f'<h3 class="ldm-title">{self.title}</h3>')
        self._view = PanelView(self, [heading, *children, self.status, *self._code_area()])

    def submit(self, settings: TaskSettings, watch: Watch, *, branch: Branch | None = None, slot: Any = None) -> Job:
        """Ask the session for a run."""
        return self._keep(self.session.submit(settings, branch=branch, slot=slot, listener=self.guarded(watch)))

    def call(self, function: Callable[[Pipeline], Any], then: Callable[[Any], Any]) -> Job:
        """Use the model between two steps of whatever runs; ``then`` gets what the function returned."""
        watch = Watch(status=self.status, on_value=then)
        return self._keep(self.session.call(function, listener=self.guarded(watch)))

    def announce(self, result: Any) -> None:
        """Keep a result, and tell those who asked for it."""
        self.result = result
        for callback in list(self._callbacks):
            callback(result)

    def guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, for callbacks: what it raises becomes the status line. Under pytest it is raised as well."""

        @wraps(function, updated=())
        def call(*args: Any) -> Any:
            try:
                return function(*args)
            except Exception as error:
                self.status.complain(error)
                if "PYTEST_CURRENT_TEST" in os.environ:
                    raise

        return call

    def _keep(self, job: Job) -> Job:
        for other in list(self._jobs):  # another thread may add one meanwhile
            if other.is_done:
                self._jobs.discard(other)
        self._jobs.add(job)
        return job

    def _code_area(self) -> list[ipywidgets.Widget]:
        """A button and the Python that it shows."""
        button = ipywidgets.ToggleButton(description="Python", icon="code", tooltip="The Python that makes this")
        shown = ipywidgets.HTML()
        shown.add_class("ldm-code")
        button.observe(self.guarded(lambda _: setattr(shown, "value", self._code_html(button.value))), "value")
        return [button, shown]

    def _code_html(self, is_open: bool) -> str:
        return f'<pre tabindex="0">{escape(self.code())}</pre>' if is_open else ""

    def _safe_code(self) -> str:
        """For the static form, which must not fail because the form holds what is not accepted."""
        try:
            return self.code()
        except Exception as error:
            return f"# {error}"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return self.static_bundle() if self._view is None else self._view._repr_mimebundle_(**options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session!r}{', closed' if self.is_closed else ''})"


def close_widgets(root: ipywidgets.Widget) -> None:
    """Close a widget and all that belong to it: children, layouts, styles."""
    for widget in list(_widgets_in(root, seen=set())):
        widget.close()


def replace_children(box: ipywidgets.Box, children: Sequence[ipywidgets.Widget]) -> None:
    """Give a box other children, and close those that it had."""
    before, box.children = box.children, tuple(children)
    for child in before:
        if child not in box.children:
            close_widgets(child)


def _widgets_in(value: Any, *, seen: set[int]) -> Iterator[ipywidgets.Widget]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _widgets_in(item, seen=seen)
    elif isinstance(value, ipywidgets.Widget) and id(value) not in seen:
        seen.add(id(value))
        for name in value.keys:
            yield from _widgets_in(getattr(value, name), seen=seen)
        yield value

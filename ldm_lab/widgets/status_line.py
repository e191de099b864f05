"""One sentence that says how things are."""

import traceback

import traitlets

from ldm_lab.core.errors import LdmLabError
from ldm_lab.widgets.browser_view import BrowserView, script, style


class StatusLine(BrowserView):
    """What a panel is doing or what is wrong, in one sentence; progress beside it, details to unfold."""

    _esm = script("status_line")
    _css = style("status_line")

    kind = traitlets.Enum(("idle", "busy", "done", "warning", "error"), "idle").tag(sync=True)
    text = traitlets.Unicode("").tag(sync=True)
    details = traitlets.Unicode("", help="What is behind it, such as a traceback.").tag(sync=True)
    done = traitlets.Int(0, help="Steps taken.").tag(sync=True)
    expected = traitlets.Int(0, help="About how many there will be; 0: there is no telling.").tag(sync=True)

    def say(self, text: str, *, kind: str = "idle", details: str = "", done: int = 0, expected: int = 0) -> None:
        """Replace all that it said."""
        with self.hold_sync():
            self.kind, self.text, self.details = kind, text, details
            self.done, self.expected = done, expected

    def complain(self, error: BaseException, *, details: str = "") -> None:
        """Say what is wrong: of our own errors the sentence, of others their kind too."""
        sentence = str(error) if isinstance(error, LdmLabError) else f"{type(error).__name__}: {error}"
        lines = sentence.strip().splitlines() or [type(error).__name__]
        self.say(lines[0], kind="error", details=details or "".join(traceback.format_exception(error)))

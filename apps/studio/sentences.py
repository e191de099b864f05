"""Errors as the page says them: ours in their own sentence, all others in one that tells nothing of the machine."""

import html
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import gradio as gr

from ldm_lab.core.cancel import CancelledError
from ldm_lab.core.errors import CheckpointError, LdmLabError

F = TypeVar("F", bound=Callable[..., Any])

UNEXPECTED = "Something went wrong inside the studio. Whoever runs it finds the reason in its log."
FAULTY_MODEL = "This model cannot be loaded. Whoever runs the studio finds the reason in its log."
BUSY = "The studio is busy: 16 requests are waiting. Try again in a few seconds."

log = logging.getLogger("ldm_lab.studio")


def explained(function: F) -> F:
    """A function or a generator for Gradio whose errors reach the visitor as one sentence, and nothing else does."""
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with _explained():
                yield from function(*args, **kwargs)

        return generator  # type: ignore[return-value]

    @wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with _explained():
            return function(*args, **kwargs)

    return plain  # type: ignore[return-value]


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (gr.Error, GeneratorExit):
        raise
    except CancelledError:
        raise _error("Stopped.") from None
    except CheckpointError as error:  # names folders of this machine
        log.error("a model cannot be loaded: %s", error)
        raise _error(FAULTY_MODEL) from None
    except LdmLabError as error:
        raise _error(str(error)) from None
    except Exception:
        log.exception("an error that is none of ours")
        raise _error(UNEXPECTED) from None


def _error(sentence: str) -> gr.Error:
    """Toasts are read as HTML, and a sentence may quote what was typed."""
    is_name = "_" in sentence.partition(" ")[0]  # of a setting, which programs spell as it is
    text = html.escape(sentence if is_name else sentence[:1].upper() + sentence[1:], quote=False)
    return gr.Error(text, title="The studio says", duration=12, print_exception=False)

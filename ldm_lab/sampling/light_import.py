"""diffusers without what its schedulers do not use, which is half of a cold start.

diffusers 0.42 imports torch's compiler (3.3 s of processor time) for one decorator of its models, and has a stand-in of
its own where that is missing. Its multistep schedulers import scipy.stats (1.9 s) for noise levels spaced by a beta
distribution, which are seldom asked for.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from threading import get_ident
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")

REFUSED = "torch._dynamo"
POSTPONED = "scipy.stats"


def load_lightly(load: Callable[[], T]) -> T:
    """Call ``load``, which imports; meanwhile torch's compiler seems absent, and scipy.stats is read when first used.

    Afterwards both can be imported as ever. Other threads notice nothing, and modules that are there stay as they are.
    Where ``load`` does not get by without the compiler, it is called once more with it.
    """
    finder = _LightFinder()
    sys.meta_path.insert(0, finder)
    try:
        return load()
    except (ImportError, RuntimeError):  # diffusers' lazy modules turn the first into the second
        if not finder.has_refused:
            raise
    finally:
        sys.meta_path.remove(finder)
    return load()


class _LightFinder(MetaPathFinder):
    """Answers the imports of the thread that made it; modules imported before are not asked for."""

    def __init__(self) -> None:
        self.thread = get_ident()
        self.has_refused = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The protocol of ``sys.meta_path``: None leaves the import to the finders after this one."""
        if name not in (REFUSED, POSTPONED) or get_ident() != self.thread:
            return None
        if name == REFUSED:
            self.has_refused = True
            raise ModuleNotFoundError(f"{name} is not imported yet", name=name)
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec

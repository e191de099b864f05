"""Parts of the repository that the installed package leaves out: the benchmark and the web page.

They are top-level folders, so that their names may not be taken up in everybody's site-packages, and nothing in the
package may import them. A command finds them beside the package, which is where ``pip install -e .`` leaves both.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ldm_lab.core.errors import MissingDependencyError

ROOT = Path(__file__).parents[2]


def import_from_checkout(module: str, *, what: str) -> ModuleType:
    """A module of the repository that this package was installed from in place.

    Args:
        module: Its full name, such as ``"apps.studio"``.
        what: What messages call it.

    Raises:
        MissingDependencyError: If the package was installed alone.
    """
    folder = module.partition(".")[0]
    if not (ROOT / folder).is_dir():
        raise MissingDependencyError(
            f"{what} is no part of the installed package, and {ROOT} has no folder {folder}; "
            "clone the repository and pip install -e . there"
        )
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return import_module(module)

"""The order of the rooms: imports go to the left only, each foreign library has one home, and importing is cheap."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ldm_lab

PACKAGE = Path(ldm_lab.__file__).parent

ORDER = (
    {"core"},
    {"nn"},
    {"data", "autoencoders", "conditioning", "unet", "diffusion"},
    {"sampling"},
    {"model"},
    {"tasks", "checkpoints"},
    {"evaluation"},
    {"training"},
    {"api"},
    {"session"},
    {"probes", "viz"},
    {"widgets"},
    {"cli"},
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}

# A UNet is a function of (z_t, t, cond), and cond is this record; it knows no encoder.
EXCEPTIONS = {("unet", "ldm_lab.conditioning.record")}

# Libraries that only some rooms may know.
HOMES = {
    "diffusers": {"sampling", "checkpoints"},
    "transformers": {"conditioning"},
    "tokenizers": {"conditioning"},
    "accelerate": {"training"},
    "lpips": {"autoencoders", "evaluation"},
    "torchmetrics": {"evaluation"},
    "skimage": {"evaluation"},
    "matplotlib": {"viz"},
    "ipywidgets": {"widgets"},
    "anywidget": {"widgets"},
    "tyro": {"cli"},
    "gradio": set(),
}


def imported_modules(path: Path, module: str) -> Iterator[str]:
    """Absolute names of everything that a file imports, wherever in the file it does so."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" if base == "ldm_lab" else base for alias in node.names)


def violations(package: Path) -> list[str]:
    """Imports that break the order, as sentences."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts == ("__init__",):
            continue  # the front door names rooms everywhere, and looks them up only when asked
        room, module = parts[0], ".".join(["ldm_lab", *parts]).removesuffix(".__init__")
        for name in imported_modules(path, module):
            reason = objection(room, name)
            if reason:
                found.append(f"{module} imports {name}: {reason}")
    return found


def objection(room: str, name: str) -> str | None:
    top, _, rest = name.partition(".")
    if room not in RANK:
        return f"{room} is no known room"
    if top != "ldm_lab":
        return None if room in HOMES.get(top, {room}) else f"only {sorted(HOMES[top])} may know {top}"
    other = rest.partition(".")[0]
    if other in {room, "__version__"} or (room, name) in EXCEPTIONS:
        return None
    if other not in RANK:
        return f"{other or 'the front door'} is no known room"
    return None if RANK[other] < RANK[room] else f"{other} is not left of {room}"


def test_imports_go_to_the_left():
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        ("core/io.py", "from ldm_lab.nn import blocks", "nn is not left of core"),
        ("diffusion/schedule.py", "from ldm_lab import unet", "unet is not left of diffusion"),
        ("diffusion/schedule.py", "def f():\n    import ldm_lab.unet.unet", "unet is not left of diffusion"),
        ("unet/unet.py", "from ldm_lab.conditioning.tokenizer import bound", "conditioning is not left of unet"),
        ("unet/unet.py", "from ..sampling.loop import sample_steps", "sampling is not left of unet"),
        ("unet/__init__.py", "from ..model import LatentDiffusion", "model is not left of unet"),
        ("model.py", "if TYPE_CHECKING:\n    from ldm_lab.tasks import Run", "tasks is not left of model"),
        ("checkpoints/native.py", "from ldm_lab.tasks import Run", "tasks is not left of checkpoints"),
        ("nn/blocks.py", "import ldm_lab", "the front door is no known room"),
        ("nn/helpers.py", "from ldm_lab.utils import x", "utils is no known room"),
        ("utils.py", "import math", "utils is no known room"),
        (
            "unet/unet.py",
            "from diffusers.models import UNet2DModel",
            r"only ['checkpoints', 'sampling'] may know diffusers",
        ),
        ("tasks/run.py", "import matplotlib.pyplot as plt", "only ['viz'] may know matplotlib"),
        ("viz/figures.py", "import gradio", "only [] may know gradio"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, file, line, reason):
    """Negative control: without it, a test that reads no file at all would pass."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(line)
    (sentence,) = violations(tmp_path)
    assert sentence.endswith(reason)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("sampling/loop.py", "from ldm_lab.core import seeding\nfrom diffusers import DDIMScheduler"),
        ("unet/unet.py", "from .blocks import DownBlock\nfrom ..nn.attention import Attention\nimport torch"),
        ("unet/__init__.py", "from .unet import UNet"),
        ("__init__.py", "from ldm_lab.api import load"),
        ("core/runtime.py", "from ldm_lab import __version__"),
    ],
)
def test_what_is_allowed_is_not_accused(tmp_path, file, line):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(line)
    assert violations(tmp_path) == []


HEAVY = {"torch", "numpy", "PIL", "diffusers", "transformers", "gradio", "matplotlib", "ipywidgets", "scipy"}


def loaded_by(statement: str) -> tuple[set[str], float]:
    """Heavy modules that a statement loads in a fresh interpreter, and the processor seconds that it takes."""
    script = f"import sys, time, json; t = time.process_time(); {statement}; t = time.process_time() - t"
    script += f"; print(json.dumps([sorted(set(sys.modules) & {HEAVY!r}), t]))"
    modules, seconds = json.loads(subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()[-1])
    return set(modules), seconds


def test_importing_the_package_loads_nothing_heavy():
    modules, seconds = loaded_by("import ldm_lab; dir(ldm_lab)")
    assert modules == set()
    assert seconds < 0.3


def test_the_public_names_need_torch_but_no_optional_extra():
    """Also the negative control of the test above: the same probe does see torch where it is loaded."""
    modules, _ = loaded_by("import ldm_lab as lab; [getattr(lab, name) for name in lab.__all__]")
    assert "torch" in modules
    assert not modules & {"transformers", "gradio", "matplotlib", "ipywidgets"}


@pytest.mark.parametrize("name", ldm_lab.__all__)
def test_every_public_name_is_there(name):
    assert getattr(ldm_lab, name) is not None
    assert name in dir(ldm_lab)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'ldm_lab' has no attribute 'laod'"):
        _ = ldm_lab.laod

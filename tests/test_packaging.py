"""What the code imports, what pyproject.toml asks for and what the other files install are one list."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}
BASE = [Requirement(line) for line in PROJECT["dependencies"]]
OURS = {"ldm_lab", "tests", "benchmarks", "apps"}
WHERE_PRESENT = {"umap"}  # used where a person has it; nothing asks for it


def names(*groups):
    return {canonicalize_name(requirement.name) for group in groups for requirement in group}


def imported(folder):
    """Packages that are not ours nor Python's, by the distribution that brings them."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.split(".")[0])
    distributions = metadata.packages_distributions()
    foreign = found - OURS - WHERE_PRESENT - set(sys.stdlib_module_names)
    return {canonicalize_name(distributions.get(name, [name])[0]) for name in foreign}


def extras_of(target):
    """The extras that a target of the Makefile installs; "all" spelled out."""
    (line,) = re.findall(rf"^EXTRAS_{target} *:=(.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = line.strip().strip("[]").split(",")
    return sorted(EXTRAS.keys() - {"all"}) if named == ["all"] else named


def test_the_package_imports_only_what_it_asks_for():
    found = imported("ldm_lab")
    assert {"torch", "diffusers", "scikit-image"} <= found  # negative control: lazy imports and other names are seen
    assert found - names(BASE, *EXTRAS.values()) == set()


@pytest.mark.parametrize("folder", ["tests", "ldm_lab"])
def test_make_test_installs_what_tests_import(folder):
    installed = [EXTRAS[extra] for extra in extras_of("test")]
    assert imported(folder) - names(BASE, *installed) == set()


def test_make_bench_installs_what_the_benchmark_imports():
    assert imported("benchmarks") - names(BASE, *(EXTRAS[extra] for extra in extras_of("bench"))) == set()


def test_make_studio_installs_what_the_page_imports():
    assert imported("apps") - names(BASE, *(EXTRAS[extra] for extra in extras_of("studio"))) == set()


def test_constraints_name_a_version_of_every_direct_dependency():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    versions = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    for requirement in [*BASE, *(one for group in EXTRAS.values() for one in group)]:
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_all_means_every_extra_and_conda_takes_all():
    (everything,) = EXTRAS["all"]
    assert everything.extras == EXTRAS.keys() - {"all"}
    assert (ROOT / "environment.yml").read_text().split("pip:")[1].split() == ["-", "-e", ".[all]"]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], 'generate "a large red circle left of a small blue star on a white background" --model "shapes"'),
        (["MODEL=emoji"], 'generate "smiling cat with heart-eyes" --model "emoji"'),
        (["MODEL=emoji-text", "PROMPT=a red cat"], 'generate "a red cat" --model "emoji-text"'),
    ],
)
def test_make_demo_names_the_model_and_a_prompt_that_suits_it(words, command):
    done = subprocess.run(["make", "-n", "demo", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f'ldm-lab {command} --output "out"' in done.stdout

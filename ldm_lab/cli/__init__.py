"""The ``ldm-lab`` command: finds the subcommand, runs it, and turns our errors into one sentence and exit code 2.

A subcommand is a function in a module of its own, imported only when it is asked for, so that ``ldm-lab --help`` need
not wait for torch. tyro reads the signature and the docstring of the function as options and help.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from ldm_lab.core.errors import LdmLabError

MISTAKE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@dataclass(frozen=True)
class Command:
    """Where a subcommand lives, and what the overview says about it."""

    module: str
    function: str
    summary: str
    reads_words: bool = False  # its options depend on the words, so that it reads them itself


COMMANDS = {
    "generate": Command(
        "ldm_lab.cli.generate", "generate", "Make images from a sentence, or with --task of anything.", reads_words=True
    ),
    "train autoencoder": Command(
        "ldm_lab.cli.train", "train_autoencoder", "Train a first stage, or go on with a run.", reads_words=True
    ),
    "train diffusion": Command(
        "ldm_lab.cli.train", "train_diffusion", "Train a model on a first stage, or go on with a run.", reads_words=True
    ),
    "evaluate": Command(
        "ldm_lab.cli.evaluate", "evaluate", "Measure a first stage or a text model; write tables and sheets."
    ),
    "bench": Command("ldm_lab.cli.bench", "bench", "Time ldm_lab against diffusers on this machine."),
    "studio": Command("ldm_lab.cli.studio", "studio", "Open the web page: create, inpaint, look inside, compare."),
    "doctor": Command(
        "ldm_lab.cli.doctor", "doctor", "Check device, packages and models; say how to mend what is amiss."
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``ldm-lab`` with the given words, or those of the command line, and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(import_module("ldm_lab").__version__)
        return 0
    name = _find_command(words)
    if name is None:
        return _complain(f"there is no command {words[0]!r}; choose one of {', '.join(COMMANDS)}")
    return _run(name, words[len(name.split()) :])


def overview() -> str:
    """One line for each subcommand."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: ldm-lab COMMAND [OPTIONS]", "", *lines, "", "ldm-lab COMMAND --help shows the options."])


def _find_command(words: list[str]) -> str | None:
    """The longest command, of one word or two, that the words begin with."""
    return next((name for n in (2, 1) if (name := " ".join(words[:n])) in COMMANDS), None)


def _run(name: str, words: list[str]) -> int:
    import tyro  # takes a moment, which the overview and --version need not wait for

    command = COMMANDS[name]
    try:
        function = getattr(import_module(command.module), command.function)
        if command.reads_words:
            return function(words)
        return tyro.cli(function, prog=f"ldm-lab {name}", args=words) or 0
    except LdmLabError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _complain(sentence: str) -> int:
    print(f"ldm-lab: {sentence}", file=sys.stderr)
    return MISTAKE

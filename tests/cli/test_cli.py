"""The frame of the command line: which subcommand runs, and what a mistake looks like."""

import subprocess
import sys
from importlib import import_module

import pytest

import ldm_lab
from ldm_lab import cli
from ldm_lab.core.errors import RequestError


def paint(prompt: str, /, *, steps: int = 20) -> int:
    """Paint.

    Args:
        prompt: What to paint.
        steps: How many steps.
    """
    if steps > 1000:
        raise RequestError(f"steps is {steps}; it must be from 1 to 1000")
    if prompt == "interrupt":
        raise KeyboardInterrupt
    print(f"painting {prompt} in {steps} steps")
    return 0


@pytest.fixture
def with_paint(monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "paint", cli.Command(__name__, "paint", "Paint a picture."))
    monkeypatch.setitem(cli.COMMANDS, "paint twice", cli.Command(__name__, "paint", "Paint two pictures."))
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or type(sys)(__name__))
    monkeypatch.setattr(sys.modules[__name__], "paint", paint, raising=False)


@pytest.mark.usefixtures("with_paint")
def test_a_command_gets_its_options(capsys):
    assert cli.main(["paint", "a red circle", "--steps", "7"]) == 0
    assert cli.main(["paint", "twice", "a star"]) == 0
    assert capsys.readouterr().out == "painting a red circle in 7 steps\npainting a star in 20 steps\n"


@pytest.mark.usefixtures("with_paint")
def test_our_errors_are_one_sentence_and_exit_code_2(capsys):
    assert cli.main(["paint", "a red circle", "--steps", "5000"]) == 2
    assert capsys.readouterr().err == "ldm-lab: steps is 5000; it must be from 1 to 1000\n"


@pytest.mark.usefixtures("with_paint")
def test_an_interrupt_is_no_traceback():
    assert cli.main(["paint", "interrupt"]) == 130


@pytest.mark.usefixtures("with_paint")
@pytest.mark.parametrize("words", [["--steps", "many"], ["x", "--stpes", "3"], [], ["x", "y"]])
def test_mistaken_options_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(["paint", *words])
    assert exit.value.code == 2
    assert "paint" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["genrate"], ["paint", "a star"], ["--verbose"], [""]])
def test_an_unknown_command_is_named_with_the_known_ones(words, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert repr(words[0]) in error
    assert "doctor" in error


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_the_overview_names_every_command(words, capsys):
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, command in cli.COMMANDS.items():
        assert any(line.split("  ")[1] == name and line.endswith(command.summary) for line in lines if line[:2] == "  ")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_function_and_a_help_page(name, capsys):
    command = cli.COMMANDS[name]
    assert callable(getattr(import_module(command.module), command.function))
    with pytest.raises(SystemExit) as exit:
        cli.main([*name.split(), "--help"])
    assert exit.value.code == 0
    assert f"ldm-lab {name}" in capsys.readouterr().out


def test_the_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{ldm_lab.__version__}\n"


def test_the_overview_does_not_wait_for_torch():
    script = "import sys; from ldm_lab.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0

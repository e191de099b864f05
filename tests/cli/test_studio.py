"""What ``ldm-lab studio`` passes on to the page, which itself is not needed for it."""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace

import pytest

from ldm_lab.cli import main, studio
from ldm_lab.core.errors import MissingDependencyError


@dataclass
class Models:
    folders: tuple
    device: str
    capacity: int


@pytest.fixture
def page(monkeypatch):
    """A page that notes how it was launched."""
    launched = []
    stand_in = SimpleNamespace(
        Options=lambda **options: SimpleNamespace(**options),
        Models=Models,
        launch=lambda models, options: launched.append((models, options)),
    )
    monkeypatch.setattr(studio, "load_page", lambda: stand_in)
    monkeypatch.delenv(studio.AUTH_VARIABLE, raising=False)
    return launched


def test_the_defaults_offer_the_shipped_models_to_this_machine_alone(page, capsys):
    assert main(["studio"]) == 0
    ((models, options),) = page
    assert models == Models((), "auto", 2)
    assert vars(options) == {field.name: getattr(studio.Offer(), field.name) for field in fields(studio.Offer)}
    assert options.host == "127.0.0.1"
    assert "http://127.0.0.1:7860 on auto; Ctrl-C ends it" in capsys.readouterr().out


def test_every_option_arrives(page):
    words = "studio a b --host 0.0.0.0 --port 80 --allow-host x.example --allow-host y.example --root-path /studio"
    words += " --auth me:secret --unprotected --mcp --device cpu --models-in-memory 1"
    assert main(words.split()) == 0
    ((models, options),) = page
    assert models == Models((Path("a"), Path("b")), "cpu", 1)
    assert (options.host, options.port, options.root_path) == ("0.0.0.0", 80, "/studio")
    assert options.allow_hosts == ("x.example", "y.example")
    assert (options.auth, options.unprotected, options.mcp, options.share) == ("me:secret", True, True, False)


def test_the_password_may_come_from_the_environment_and_no_help_shows_it(page, monkeypatch, capsys):
    monkeypatch.setenv(studio.AUTH_VARIABLE, "class:a-secret")
    assert main(["studio"]) == 0
    assert page[0][1].auth == "class:a-secret"
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["studio", "--help"])
    said = capsys.readouterr().out
    assert "--allow-host" in said
    assert "a-secret" not in said


def test_without_gradio_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in [name for name in sys.modules if name == "apps" or name.startswith("apps.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependencyError, match="the studio needs Gradio; pip install -e"):
        studio.load_page()

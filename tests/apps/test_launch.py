"""How the page is started: safe where nothing is said, and refused where that would not be."""

import os
import sys

import pytest

from apps.studio import Options, serve
from apps.studio.launch import MAX_UPLOAD_BYTES, _arguments, _own_folder
from ldm_lab.core.errors import MissingDependencyError, RequestError
from ldm_lab.core.images import MAX_BYTES


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"host": "0.0.0.0"}, "host is '0.0.0.0', which others reach; give --auth name:password"),
        ({"host": "::"}, "host is '::', which others reach"),
        ({"host": "lab.example"}, "host is 'lab.example', which others reach"),
        ({"share": True}, "share opens the page to everybody; give --auth"),
        ({"share": True, "unprotected": True}, "share opens the page to everybody"),
        ({"auth": "name"}, "auth must be a name and a password"),
        ({"auth": ":x"}, "auth must be a name and a password"),
    ],
)
def test_what_would_open_the_page_to_strangers_is_refused(options, sentence):
    with pytest.raises(RequestError, match=sentence):
        Options(**options)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.53", "::1"])
def test_this_machine_needs_no_password(host):
    assert Options(host=host).is_local


def test_with_a_password_or_on_purpose_others_may_come():
    assert Options(host="0.0.0.0", auth="name:pass:word").credentials == ("name", "pass:word")
    assert not Options(host="0.0.0.0", unprotected=True).is_local


def test_the_defaults_of_gradio_that_matter_are_ours():
    said = _arguments(Options())
    assert said["server_name"] == "127.0.0.1"
    for name in ("share", "show_error", "enable_monitoring", "run_history", "ssr_mode", "mcp_server", "pwa"):
        assert said[name] is False, name
    assert said["strict_cors"] is True
    assert said["allowed_paths"] == []
    assert said["max_file_size"] == MAX_UPLOAD_BYTES == MAX_BYTES


def test_variables_of_the_environment_open_nothing(monkeypatch):
    monkeypatch.setenv("GRADIO_SHARE", "True")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "elsewhere")
    with _own_folder() as folder:
        assert "GRADIO_SHARE" not in os.environ
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder / "files")
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    assert os.environ["GRADIO_TEMP_DIR"] == "elsewhere"  # a page beside this one keeps its own


def test_analytics_are_off_before_gradio_is_imported():
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_a_port_in_use_is_a_sentence(served, make_models):
    with pytest.raises(RequestError, match="cannot be used"), serve(make_models(), Options(port=served[0].server_port)):
        pass


def test_mcp_without_its_package_says_what_to_do(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(MissingDependencyError, match="--mcp needs the package mcp"), serve(models, Options(mcp=True)):
        pass

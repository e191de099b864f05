"""What the page keeps, writes down and asks of others: little, for a time, and nothing."""

import io
import json
import logging
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from apps.studio import Options, serve
from tests.apps.wire import call, file_data, interface, post_json, send, upload, values_of

PATIENCE_SEC = 120
SECRET = "a canary in the prompt"
asked_of_others = []  # addresses, noted as long as somebody listens
listening = False


def _note(event, args):
    if listening and event in ("socket.connect", "socket.getaddrinfo"):
        asked_of_others.append(args[1] if event == "socket.connect" else args[0])


sys.addaudithook(_note)  # which nothing can take away again


@pytest.fixture
def outside(monkeypatch):
    """Addresses beyond this machine that the process turns to during a test."""
    asked_of_others.clear()
    monkeypatch.setattr(sys.modules[__name__], "listening", True)
    return lambda: [each for each in asked_of_others if not _is_here(each)]


def _is_here(address):
    host = address[0] if isinstance(address, tuple) else address
    return host in ("127.0.0.1", "::1", "localhost", None) or str(host).startswith("/")


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(buffer, "PNG")
    return buffer.getvalue()


def ask(url, **values):
    """An image of these settings: what came of it, and the last line."""
    return call(url, "text_to_image", values_of(interface(url)["text_to_image"], **values))


def wait_until(condition):
    end = time.monotonic() + PATIENCE_SEC
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_uploads_images_and_cells_are_deleted_after_a_time(make_models, free_port, monkeypatch):
    page, launch, cells = (import_module(f"apps.studio.{name}") for name in ("page", "launch", "cells"))
    for module in (page, launch):
        monkeypatch.setattr(module, "SWEEP_SEC", 0.2)
    for module in (page, cells):
        monkeypatch.setattr(module, "KEPT_SEC", 2)
    with serve(make_models(), Options(port=free_port())) as running:
        url = running.local_url.rstrip("/")
        files = [Path(upload(url, png()))]
        said = ask(url, prompt="a star", num_steps=1)[1]
        files.append(Path(json.loads(said)[0][0]["image"]["path"]))
        assert call(url, "grid", ["a star", "seed", "1, 2", "", "", 0, 1, None])[0] == "complete"
        made = files[0].parents[2] / "cells"
        assert made.is_dir()
        wait_until(lambda: not any(file.exists() for file in files) and not [*made.glob("*/*.png")])
        assert send(url, "GET", f"/gradio_api/file={files[1]}").status in (403, 404)


def test_no_prompt_no_seed_and_no_name_of_a_file_is_written_down(url, caplog, capfd):
    with caplog.at_level(logging.INFO):
        assert ask(url, prompt=SECRET, seeds=[20_261_128], num_steps=1)[0] == "complete"
        assert ask(url, prompt=SECRET + "x" * 1000)[0] == "error"
        path = upload(url, png(), f"{SECRET}.png")
        assert call(url, "encode", [file_data(path), None])[0] == "complete"
        assert call(url, "encode", [file_data(upload(url, b"none", f"{SECRET}.png")), None])[0] == "error"
    written = caplog.text + "".join(capfd.readouterr())
    assert "canary" not in written
    assert "20261128" not in written


def test_the_process_turns_to_nobody(outside, make_models, free_port):
    with serve(make_models(), Options(port=free_port())) as running:
        url = running.local_url.rstrip("/")
        assert send(url, "GET", "/").status == 200
        assert ask(url, prompt="a star", num_steps=1)[0] == "complete"
        for address in ("http://192.0.2.1/x.png", "http://example.invalid/x.png"):
            post_json(url, "/gradio_api/call/encode", {"data": [file_data(address), None]})
            post_json(url, "/gradio_api/call/encode", {"data": [file_data(None, url=address), None]})
    assert asked_of_others  # the hook hears of loopback, so that it would hear of others
    assert outside() == []

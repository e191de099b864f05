"""Two studios behind the nginx of docs/nginx.conf: the page, an image, and a visitor who stays with one of them."""

import json
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from apps.studio import Options, serve
from tests.apps.wire import call, interface, send, values_of

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIG = Path(__file__).parents[2] / "docs" / "nginx.conf"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed; on Debian apt-get install nginx-light"),
]


@pytest.fixture(scope="module")
def behind_nginx(make_models, free_port, tmp_path_factory):
    """Address of the proxy; the documented file with other ports."""
    folder = tmp_path_factory.mktemp("nginx")
    ports = [free_port() for _ in range(3)]
    text = CONFIG.read_text()
    for documented, port in zip(("7860", "7861", "8080"), ports, strict=True):
        text = text.replace(documented, str(port))
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    frame = f"pid {folder}/pid; error_log {folder}/error.log; events {{}} http {{ access_log off; {places} {text} }}"
    (folder / "nginx.conf").write_text(frame)
    with ExitStack() as stack:
        for port in ports[:2]:
            options = Options(port=port, root_path="/studio", allow_hosts=("lab.example",))
            stack.enter_context(serve(make_models(), options))
        server = subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf"), "-g", "daemon off;"])
        stack.callback(server.wait)
        stack.callback(server.terminate)
        url = f"http://127.0.0.1:{ports[2]}"
        _wait_for(url)
        yield url


def _wait_for(url):
    for _ in range(100):
        try:
            send(url, "GET", "/")
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("nginx did not start")


OURS = {"Host": "lab.example"}


def test_the_page_comes_with_its_parts_below_its_place(behind_nginx):
    page = send(behind_nginx, "GET", "/studio/", headers=OURS)
    assert page.status == 200
    assert "ldm_lab studio" in page.text
    assert "http://lab.example/studio" in page.text


def test_an_image_is_made_and_fetched_by_a_visitor_who_stays(behind_nginx):
    values = values_of(interface(f"{behind_nginx}/studio", OURS)["text_to_image"], prompt="a star", num_steps=1)
    for _ in range(4):
        event, said = call(f"{behind_nginx}/studio", "text_to_image", values, OURS)
        assert event == "complete"
        path = json.loads(said)[0][0]["image"]["path"]
        assert send(behind_nginx, "GET", f"/studio/gradio_api/file={path}", headers=OURS).content[1:4] == b"PNG"


def test_strange_names_and_origins_are_refused_through_it_as_well(behind_nginx):
    assert send(behind_nginx, "GET", "/studio/", headers={"Host": "evil.example"}).status == 403
    assert send(behind_nginx, "GET", "/studio/", headers=OURS | {"Origin": "http://evil.example"}).status == 403

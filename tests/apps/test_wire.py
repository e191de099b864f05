"""What reaches the server from elsewhere than the page: nothing breaks it, and nothing of the machine comes back."""

import io
import json
import random
import re

import numpy as np
import pytest
from PIL import Image

from tests.apps.wire import SECRET, call, file_data, interface, leaked, post_json, send, upload, values_of

PNG = io.BytesIO()
Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3)).save(PNG, "PNG")
PNG = PNG.getvalue()


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("LDM_LAB_SECRET", SECRET)


@pytest.fixture(scope="module")
def canary(tmp_path_factory):
    path = tmp_path_factory.mktemp("secret") / "canary.txt"
    path.write_text(SECRET)
    return path


def still_answers(url):
    values = values_of(interface(url)["text_to_image"], prompt="a star", num_steps=2)
    return call(url, "text_to_image", values)[0] == "complete"


NAMES = ["text_to_image", "inpaint", "encode", "decode", "grid", "image_to_image", "class_to_image"]
ODD = [
    None,
    True,
    -1,
    3.7,
    2**64,
    1e308,
    "",
    "x" * 5000,
    "\u0000",
    "\ud800",
    "../../etc/passwd",
    [],
    [[[]]],
    {},
    {"path": "/etc/passwd"},
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"__type__": "update"},
    {"__type__": "update", "visible": True},
    "<script>alert(1)</script>",
    [1] * 1000,
]


def malformed(number):
    """One of many requests that no client would send: (method, path, body, headers)."""
    draw = random.Random(number)
    name = draw.choice(NAMES)
    data = [draw.choice(ODD) for _ in range(draw.choice([0, 1, 2, 3, 8, 12, 13, 19, 40]))]
    path = f"/gradio_api/call/{name}"
    kinds = [
        (path, json.dumps({"data": data}).encode()),
        (path, json.dumps({"data": draw.choice(ODD)}).encode()),
        (path, b'{"data": [NaN, Infinity, -Infinity]}'),
        (path, json.dumps({"data": data, "session_hash": draw.choice(ODD), "event_data": draw.choice(ODD)}).encode()),
        (path, b"\xff\xfe" + bytes(draw.randrange(256) for _ in range(40))),
        (path, b'{"data": ' + b"[" * draw.choice([10, 1000, 50_000])),
        (
            "/gradio_api/queue/join",
            json.dumps({"data": data, "fn_index": draw.choice([-1, 10**9, "0", None])}).encode(),
        ),
        ("/gradio_api/queue/join", json.dumps({"data": data, "fn_index": 0, "session_hash": "x"}).encode()),
        ("/gradio_api/run/predict", json.dumps({"data": data, "fn_index": draw.randrange(60)}).encode()),
        ("/gradio_api/component_server", json.dumps({"data": data, "component_id": draw.randrange(999)}).encode()),
        ("/gradio_api/cancel", json.dumps({"session_hash": "x", "fn_index": 0, "event_id": "y"}).encode()),
        ("/gradio_api/reset", json.dumps({"event_id": draw.choice(ODD)}).encode()),
        ("/gradio_api/upload", b"no multipart"),
        ("/gradio_api/call/" + draw.choice(["nothing", "..%2f..", "text_to_image/../x", "%00"]), b'{"data": []}'),
    ]
    path, body = draw.choice(kinds)
    kind = draw.choice(["application/json", "text/plain", "multipart/form-data", "application/xml", ""])
    return draw.choice(["POST", "POST", "POST", "PUT", "DELETE", "PATCH"]), path, body, {"Content-Type": kind}


@pytest.mark.slow
def test_malformed_requests_break_nothing_and_say_nothing(url, repeats):
    for number in range(repeats(quick=40, full=300)):
        answer = send(url, *malformed(number))
        assert leaked(answer.text) == [], malformed(number)
        if number % 10 == 9:
            assert still_answers(url)


@pytest.mark.slow
def test_values_that_pass_the_door_are_judged_by_us(url, repeats):
    """Well-formed requests with odd values, made from the documented interface: a result or a sentence."""
    endpoints = interface(url)
    for number in range(repeats(quick=40, full=500)):
        draw = random.Random(number)
        name = draw.choice(list(endpoints))
        defaults = [parameter["parameter_default"] for parameter in endpoints[name]]
        data = [draw.choice(ODD) if draw.random() < 0.3 else value for value in defaults]
        event, said = call(url, name, data)
        assert event in ("complete", "error", "400", "422", "500"), (name, data)
        assert leaked(said) == [], (name, data)
    assert still_answers(url)


def forms(path):
    """Ways to spell a path that a careless server might follow."""
    plain = str(path)
    up = "../" * 12 + plain.lstrip("/")
    ways = [plain, up, plain.replace("/", "//"), plain.replace("/", "%2f"), plain.replace("/", "\\"), f"file://{plain}"]
    ways += [f"file={plain}", plain + "%00.png", plain + "\0.png", f"./{plain}", f"~{plain}", plain.upper()]
    ways += [
        up.replace("../", "..%2f"),
        up.replace("../", "....//"),
        up.replace("../", "..;/"),
        up.replace("../", "%2e%2e/"),
    ]
    ways += [f"/proc/self/root{plain}", f"/proc/self/cwd/{up}", f"/dev/fd/../..{plain}", plain + "/", plain + "/."]
    return [*dict.fromkeys(ways)]


ROUTES = ("/gradio_api/file={}", "/file={}", "/static/{}", "/assets/{}", "/svelte/{}", "/gradio_api/stream/{}", "/{}")


@pytest.mark.slow
def test_no_path_reaches_a_file_that_is_not_ours(url, canary):
    missing = canary.with_name("missing.txt")
    for route in ROUTES:
        for spelled, absent in zip(forms(canary), forms(missing), strict=True):
            answers = [send(url, "GET", route.format(quoted(each))) for each in (spelled, absent)]
            assert SECRET not in answers[0].text, (route, spelled)
            # nor can a stranger find out whether it exists
            assert answers[0].status == answers[1].status, (route, spelled)
            assert nameless(answers[0].text) == nameless(answers[1].text), (route, spelled)


def nameless(text):
    """An answer without the name that was asked for."""
    return re.sub("(?i)canary|missing", "", text)


def quoted(path):
    """Spelled for a request line, which takes no blanks and no control characters."""
    return path.replace("\0", "%00").replace(" ", "%20")


@pytest.mark.parametrize("form", ["plain", "with meta", "as url"])
def test_no_endpoint_reads_a_file_that_was_not_uploaded(url, canary, form):
    picture = canary.with_name("picture.png")
    picture.write_bytes(PNG)
    for path in (*forms(picture), *forms(canary), "/etc/passwd", "/proc/self/environ"):
        data = {"plain": {"path": path}, "with meta": file_data(path), "as url": file_data(None, url=path)}[form]
        event, said = call(url, "encode", [data, None])
        assert event != "complete", path
        assert SECRET not in said


def test_no_address_is_fetched(url, monkeypatch):
    for address in (
        "http://127.0.0.1:1/x.png",
        "http://169.254.169.254/",
        "https://[::1]/",
        "http://2130706433/",
        "ftp://x/",
    ):
        assert call(url, "encode", [file_data(address), None])[0] == "400"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_pages_of_elsewhere_are_refused_on_every_route(url, headers):
    for method, path in (
        ("GET", "/"),
        ("GET", "/config"),
        ("GET", "/gradio_api/info"),
        ("POST", "/gradio_api/call/text_to_image"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/upload"),
        ("GET", "/gradio_api/file=x"),
    ):
        body = b'{"data": []}' if method == "POST" else None
        assert send(url, method, path, body, headers).status == 403, path


def test_an_upload_may_have_ten_megabytes_and_no_byte_more(url):
    assert isinstance(upload(url, bytes(10_000_000)), str)
    assert upload(url, bytes(10_000_001)).status == 413
    assert post_json(url, "/gradio_api/call/encode", b'{"data": ["' + b"x" * 12_000_000 + b'"]}').status == 413


def test_there_is_no_page_on_other_visitors_and_no_list_of_files(url):
    assert send(url, "GET", "/monitoring").status in (403, 404)
    assert send(url, "GET", "/monitoring/summary").status in (403, 404)
    config = send(url, "GET", "/config").text + send(url, "GET", "/gradio_api/info").text
    assert leaked(config) == []


def test_the_page_names_no_other_host(url):
    page = send(url, "GET", "/")
    assert "fonts.googleapis" not in page.text
    assert "cdnjs" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self'")

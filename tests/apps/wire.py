"""Requests as no client library would send them: raw HTTP, with any headers and any body."""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SEC = 120


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self):
        return self.content.decode("utf-8", "replace")


def send(url, method, path, body=None, headers=None):
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SEC)
    try:
        connection.putrequest(method, path, skip_host=headers is not None and "Host" in headers)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None and "Content-Length" not in (headers or {}):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def post_json(url, path, value, headers=None):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return send(url, "POST", path, body, {"Content-Type": "application/json"} | (headers or {}))


def call(url, name, data):
    """Ask an endpoint, and wait for its end: what became of it, ``complete`` or ``error``, and the last line."""
    answer = post_json(url, f"/gradio_api/call/{name}", {"data": data})
    if answer.status != 200:
        return str(answer.status), answer.text
    event = json.loads(answer.text)["event_id"]
    stream = send(url, "GET", f"/gradio_api/call/{name}/{event}").text.strip().splitlines()
    return stream[-2].removeprefix("event: "), stream[-1].removeprefix("data: ")


def upload(url, content, name="picture.png"):
    """Send a file as the page does; where it lies on the server."""
    boundary = "----boundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode("utf-8", "surrogateescape") + content + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = send(url, "POST", "/gradio_api/upload", body, headers)
    return answer if answer.status != 200 else json.loads(answer.text)[0]


def file_data(path, **more):
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}

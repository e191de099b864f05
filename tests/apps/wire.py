"""Requests as no client library would send them: raw HTTP, with any headers and any body."""

import http.client
import json
import os
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SECRET = "canary-of-the-test"
HOMES = (f"{os.path.expanduser('~root')}/", "/home/")
LEAKS = ("Traceback", 'File "', "site-packages", str(Path(__file__).parents[2]), sys.prefix, *HOMES, SECRET)
TIMEOUT_SEC = 600  # of requests that would otherwise hang; nothing is measured by it


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self):
        return self.content.decode("utf-8", "replace")


def leaked(text):
    """What of the machine or of the program's inside a text gives away."""
    return [leak for leak in LEAKS if leak in text]


def send(url, method, path, body=None, headers=None):
    """One request on a connection of its own."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=TIMEOUT_SEC)
    try:
        connection.putrequest(method, address.path + path, skip_host=headers is not None and "Host" in headers)
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


def call(url, name, data, headers=None):
    """Ask an endpoint, and wait for its end: what became of it, ``complete`` or ``error``, and the last line."""
    answer = begin(url, name, data, headers)
    return end(url, name, answer, headers) if answer.status == 200 else (str(answer.status), answer.text)


def begin(url, name, data, headers=None, **more):
    """Ask an endpoint; the answer says only that the question stands in the line."""
    return post_json(url, f"/gradio_api/call/{name}", {"data": data, **more}, headers)


def end(url, name, begun, headers=None):
    """Wait for the end of what was begun."""
    event = json.loads(begun.text)["event_id"]
    stream = send(url, "GET", f"/gradio_api/call/{name}/{event}", headers=headers).text.strip().splitlines()
    return stream[-2].removeprefix("event: "), stream[-1].removeprefix("data: ")


class Visitor:
    """An open page, as the server sees it: a connection that lasts until the visitor leaves."""

    def __init__(self, url):
        self.url, self.session = url, secrets.token_hex(8)
        self._heart = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SEC)
        self._heart.request("GET", f"/gradio_api/heartbeat/{self.session}")
        self._heart.getresponse().readline()

    def begin(self, name, data):
        return begin(self.url, name, data, session_hash=self.session)

    def leave(self):
        """Close the tab."""
        self._heart.sock.shutdown(socket.SHUT_RDWR)
        self._heart.close()


def interface(url, headers=None):
    """The documented parameters of every endpoint."""
    endpoints = json.loads(send(url, "GET", "/gradio_api/info", headers=headers).text)["named_endpoints"]
    return {name.strip("/"): endpoint["parameters"] for name, endpoint in endpoints.items()}


def values_of(parameters, **given):
    """Values of an endpoint in their order: those that are given, and defaults."""
    return [given.get(each["parameter_name"], each["parameter_default"]) for each in parameters]


def connected(url):
    """Gradio's own client, which by itself would give up after five seconds, even on a machine that has much to do."""
    from gradio_client import Client

    return Client(url, verbose=False, httpx_kwargs={"timeout": TIMEOUT_SEC})


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

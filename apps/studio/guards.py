"""What stands between the network and the page: who may ask, how much may be sent, and what browsers are told.

Each guard is an ASGI middleware, so that it sees every request before Gradio does; streams pass through untouched.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from apps.studio.sentences import BUSY

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_UPLOAD_BYTES = 10_000_000  # a file; the same as core.images.MAX_BYTES
MAX_BODY_BYTES = 12_000_000  # a request: such a file with its envelope, also as base64 inside JSON a smaller one
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")

# Gradio puts scripts and styles into its page and compiles templates, which needs both unsafe words; everything else
# comes from here, so that no request can leave for another host.
CONTENT_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)


class SameOrigin:
    """Refuses requests that were meant for another host, or that a page of another host makes a browser send.

    A name that leads here though it is not ours is how a foreign page reaches a server on this machine (DNS
    rebinding); an address cannot be bent that way.
    """

    def __init__(self, app: App, *, hosts: Iterable[str], any_address: bool = False) -> None:
        """``hosts`` are names without a port; ``any_address`` also accepts all numeric addresses."""
        self.app = app
        self._hosts = {host.lower() for host in hosts}
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is ours."""
        if scope["type"] in ("http", "websocket"):
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            reason = self._objection(headers)
            if reason is not None:
                await refuse(send, 403, reason)
                return
        await self.app(scope, receive, send)

    def _objection(self, headers: dict[bytes, str]) -> str | None:
        host = headers.get(b"host", "")
        if not self._is_ours(_without_port(host)):
            return "This studio does not answer to that host name; start it with --allow-host NAME if it shall."
        origin = headers.get(b"origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return "This request was sent by a page of another site."
        if headers.get(b"sec-fetch-site") == "cross-site" and headers.get(b"sec-fetch-mode") != "navigate":
            return "This request was sent by a page of another site."
        return None

    def _is_ours(self, name: str) -> bool:
        return name in self._hosts or (self._any_address and _is_address(name))


class BodyLimit:
    """Refuses bodies that are larger than any honest request, before anything reads them; and addresses in them.

    Gradio fetches a file whose path is a web address; nothing here shall make this machine ask others.
    """

    def __init__(self, app: App, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body of a JSON request as a whole; of all others, count as it comes."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._max_bytes:
            await refuse(send, 413, f"The request is larger than {self._max_bytes // 10**6} MB, the limit.")
            return
        if headers.get(b"content-type", b"").startswith(b"multipart/"):
            await self.app(scope, self._counted(receive), send)
            return
        body = await self._whole(receive)
        if body is None:
            await refuse(send, 413, f"The request is larger than {self._max_bytes // 10**6} MB, the limit.")
        elif _names_an_address(body):
            await refuse(send, 400, "A file must be uploaded; addresses of other places are not fetched.")
        else:
            await self.app(scope, _replayed(body, receive), send)

    async def _whole(self, receive: Receive) -> bytes | None:
        """The body; None if it is too large."""
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > self._max_bytes:
                return None
        return b"".join(parts)

    def _counted(self, receive: Receive) -> Receive:
        size = 0

        async def counting() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                return {"type": "http.disconnect"}
            return message

        return counting


class PlainWords:
    """Adds the security headers to every answer, and says in plain words that the queue is full."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch how the answer begins."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_full = False

        async def guarded(message: Message) -> None:
            nonlocal is_full
            if message["type"] == "http.response.start":
                is_full = message["status"] == 503
                if is_full:
                    return
                message = {**message, "headers": [*_without_ours(message["headers"]), *SECURITY_HEADERS]}
            elif is_full:
                if not message.get("more_body", False):
                    await refuse(send, 503, BUSY)
                return
            await send(message)

        await self.app(scope, receive, guarded)


async def refuse(send: Send, status: int, sentence: str) -> None:
    """Answer with a sentence, in the form in which Gradio's pages and clients look for one."""
    body = json.dumps({"detail": sentence, "error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *SECURITY_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _without_port(host: str) -> str:
    name = host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host.lower()
    return name or host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _without_ours(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    ours = {name for name, _ in SECURITY_HEADERS}
    return [(name, value) for name, value in headers if name.lower() not in ours]


def _names_an_address(body: bytes) -> bool:
    """Whether a JSON body holds a file whose path is a web address."""
    if b'"path"' not in body:
        return False
    try:
        return _has_address(json.loads(body))
    except (ValueError, RecursionError):
        return False  # no JSON, which Gradio refuses by itself


def _has_address(value: Any) -> bool:
    if isinstance(value, dict):
        path = value.get("path")
        return (isinstance(path, str) and "://" in path) or any(map(_has_address, value.values()))
    return isinstance(value, list) and any(map(_has_address, value))


def _replayed(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def replaying() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying

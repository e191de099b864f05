"""The guards before the page, each with an app behind it that says what reached it."""

import asyncio
import json

import pytest

from apps.studio.guards import LOOPBACK, SECURITY_HEADERS, BodyLimit, PlainWords, SameOrigin
from apps.studio.sentences import BUSY


class Behind:
    """An ASGI app that reads everything and answers."""

    def __init__(self, status=200):
        self.status, self.body, self.is_called, self.is_cut = status, b"", False, False

    async def __call__(self, scope, receive, send):
        self.is_called = True
        more = scope["method"] == "POST"
        while more:
            message = await receive()
            self.is_cut |= message["type"] == "http.disconnect"
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"x-theirs", b"1")]})
        await send({"type": "http.response.body", "body": b"Queue is full. Max size is 16"})


def call(guard, method="GET", body=(b"",), **headers):
    """Status, headers and body of the answer."""
    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    parts, sent = list(body), []

    async def receive():
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    text = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), text


class TestSameOrigin:
    def answer(self, any_address=False, **headers):
        return call(SameOrigin(Behind(), hosts=LOOPBACK, any_address=any_address), **headers)[0]

    @pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "127.0.0.1"])
    def test_our_names_are_answered(self, host):
        assert self.answer(host=host) == 200
        assert self.answer(host=host, origin=f"http://{host}") == 200

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "127.0.0.1.evil.example", "evil.example:7860", "localhost.evil.example", "", "10.0.0.5:7860"],
    )
    def test_alien_hosts_are_not(self, host):
        assert self.answer(host=host) == 403

    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "null", "http://127.0.0.1:7861", "http://localhost:7860", "file://", "", "x"]
    )
    def test_nor_are_pages_of_elsewhere(self, origin):
        assert self.answer(host="127.0.0.1:7860", origin=origin) == 403

    def test_a_cross_site_request_without_an_origin_is_refused_unless_somebody_follows_a_link(self):
        ours = {"host": "localhost"}
        assert self.answer(**ours, sec_fetch_site="cross-site", sec_fetch_mode="no-cors") == 403
        assert self.answer(**ours, sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 200
        assert self.answer(**ours, sec_fetch_site="same-origin", sec_fetch_mode="cors") == 200

    def test_beyond_this_machine_addresses_are_answered_and_strange_names_are_not(self):
        assert self.answer(any_address=True, host="10.0.0.5:7860") == 200
        assert self.answer(any_address=True, host="[fe80::1]:7860") == 200
        assert self.answer(any_address=True, host="evil.example") == 403


class TestBodyLimit:
    def limited(self, *body, **headers):
        behind = Behind()
        return call(BodyLimit(behind, max_bytes=10), "POST", body, **headers), behind

    def test_a_body_up_to_the_limit_arrives_whole(self):
        (status, *_), behind = self.limited(b"01234", b"56789", content_type="application/json")
        assert (status, behind.body) == (200, b"0123456789")

    @pytest.mark.parametrize("body", [(b"01234567890",), (b"0123456789", b"0")])
    def test_one_byte_more_is_refused_before_anything_reads_it(self, body):
        (status, *_), behind = self.limited(*body)
        assert status == 413
        assert not behind.is_called

    @pytest.mark.parametrize("length", ["11", "-1", "x", "99999999999999999999"])
    def test_so_is_what_says_that_it_is_too_large(self, length):
        (status, *_), behind = self.limited(b"", content_length=length)
        assert status == 413
        assert not behind.is_called

    def test_of_an_upload_the_rest_is_cut_off(self):
        _, behind = self.limited(b"0123456789", b"0", content_type="multipart/form-data; boundary=x")
        assert behind.is_cut

    @pytest.mark.parametrize("path", ["http://169.254.169.254/", "https://[::1]/", "file:///etc/passwd", "gopher://x"])
    def test_addresses_of_files_are_refused_wherever_they_stand(self, path):
        behind = Behind()
        body = json.dumps({"data": [1, {"a": [{"path": path, "meta": {}}]}]}).encode()
        status, _, text = call(BodyLimit(behind), "POST", [body], content_type="application/json")
        assert (status, behind.is_called) == (400, False)
        assert b"addresses of other places are not fetched" in text

    def test_prompts_may_speak_of_addresses_and_paths(self):
        behind = Behind()
        body = json.dumps({"data": ['a star "path" http://x'], "path": "a/b.png"}).encode()
        assert call(BodyLimit(behind), "POST", [body])[0] == 200
        assert behind.body == body

    def test_what_is_no_json_is_left_to_gradio(self):
        deep = b'{"path":' + b"[" * 100_000
        assert call(BodyLimit(Behind()), "POST", [deep])[0] == 200


class TestPlainWords:
    def test_every_answer_has_the_security_headers(self):
        _, headers, _ = call(PlainWords(Behind()))
        assert headers.items() >= dict(SECURITY_HEADERS).items()
        assert headers[b"x-theirs"] == b"1"

    def test_a_full_queue_is_a_friendly_sentence(self):
        status, _, text = call(PlainWords(Behind(503)))
        assert (status, json.loads(text)["detail"]) == (503, BUSY)

    def test_other_errors_pass(self):
        assert call(PlainWords(Behind(404)))[2].startswith(b"Queue is full")

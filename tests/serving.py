"""Servers in processes of their own: a port for one, and to wait until it answers."""

import contextlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(
    url: str, server: subprocess.Popen, *, patience_sec: float, last_words: Callable[[], str] = lambda: ""
) -> None:
    """Return as soon as the address answers.

    Args:
        url: An address that the server answers with 200.
        server: Its process.
        patience_sec: How long it may take.
        last_words: Says what the server wrote, for the message.

    Raises:
        RuntimeError: If the process has ended.
        TimeoutError: If it does not answer in time.
    """
    end = time.monotonic() + patience_sec
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"{url} ended with code {server.returncode} before it answered: {last_words()}")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer within {patience_sec:.0f} s: {last_words()}")

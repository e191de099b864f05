"""What many visitors ask of the studio at once, over the wire: how long they wait, and what it costs the server."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.apps.wire import Visitor, begin, call, end, interface, values_of

ENDPOINT = "text_to_image"
PROMPT = "a red circle"
NUM_POSTS = 200
NUM_USERS = 10
LONG_WALK = 200  # steps, so that whoever leaves does so in the midst


def seconds_to_busy(url: str, *, count: int = NUM_POSTS) -> tuple[float, ...]:
    """Post many requests at once; seconds until each of those that were refused was told so.

    Raises:
        RuntimeError: If one of them got another answer than an image or "busy".
    """
    values = values_of(interface(url)[ENDPOINT], prompt=PROMPT, num_steps=1)

    def post(_: int) -> tuple[str, float]:
        started = time.monotonic()
        answer = begin(url, ENDPOINT, values)
        said = time.monotonic() - started
        if answer.status == 503 and "busy" in answer.text:
            return "busy", said
        return end(url, ENDPOINT, answer)[0] if answer.status == 200 else str(answer.status), said

    with ThreadPoolExecutor(count) as crowd:
        answers = list(crowd.map(post, range(count)))
    strange = {kind for kind, _ in answers} - {"complete", "busy"}
    if strange:
        raise RuntimeError(f"of {count} posts at once some were answered {', '.join(sorted(strange))}")
    return tuple(said for kind, said in answers if kind == "busy")


def seconds_after_leaving(url: str, *, count: int) -> tuple[float, ...]:
    """Visitors who leave at random steps of a long walk; seconds from each leaving to the next image, of one step."""
    parameters, draw, waits = interface(url)[ENDPOINT], random.Random(0), []
    for _ in range(count):
        leaving = Visitor(url)
        leaving.begin(ENDPOINT, values_of(parameters, prompt=PROMPT, num_steps=LONG_WALK))
        time.sleep(draw.uniform(0.1, 2.0))
        started = time.monotonic()
        leaving.leave()
        call(url, ENDPOINT, values_of(parameters, prompt=PROMPT, num_steps=1))
        waits.append(time.monotonic() - started)
    return tuple(waits)


def growth_mb(url: str, pid: int, *, requests: int) -> float:
    """By how much the server's memory grows, in 10⁶ bytes, from the first quarter of many requests to the last.

    Args:
        url: Of the page.
        pid: Of its process.
        requests: From ten users together.
    """
    server, memory = psutil.Process(pid), []
    values = values_of(interface(url)[ENDPOINT], prompt=PROMPT, num_steps=1)

    def ask(_: int) -> None:
        answer = begin(url, ENDPOINT, values)
        while answer.status == 503:
            time.sleep(0.05)
            answer = begin(url, ENDPOINT, values)
        end(url, ENDPOINT, answer)
        memory.append(server.memory_info().rss / 1e6)

    with ThreadPoolExecutor(NUM_USERS) as crowd:
        list(crowd.map(ask, range(requests)))
    quarter = max(1, requests // 4)
    return max(memory[-quarter:]) - max(memory[:quarter])

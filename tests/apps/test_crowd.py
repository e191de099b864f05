"""Many visitors at once: nobody's answer is lost or another's, the full queue says so, and who leaves costs nothing.

With LDM_LAB_FULL=1 and -s, as often as docs/acceptance.md says, with the figures printed.
"""

import gc
import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import torch
from PIL import Image

import ldm_lab as lab
from tests.apps.wire import post_json, send

gradio_client = pytest.importorskip("gradio_client")

pytestmark = pytest.mark.slow


def measured(name, **figures):
    print(f"\n{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))


def growth_mb(before):
    return (psutil.Process().memory_info().rss - before) / 1e6


@pytest.fixture(scope="module")
def pipeline(tiny_folder):
    return lab.load(tiny_folder)


@pytest.fixture(scope="module")
def ask(url):
    """Ask for an image by its settings: what became of it, and how long the answer to the request itself took."""
    info = json.loads(send(url, "GET", "/gradio_api/info").text)["named_endpoints"]["/text_to_image"]["parameters"]

    def ask(**values):
        data = [values.get(each["parameter_name"], each["parameter_default"]) for each in info]
        begin = time.monotonic()
        answer = post_json(url, "/gradio_api/call/text_to_image", {"data": data})
        said = time.monotonic() - begin
        if answer.status != 200:
            return "busy" if answer.status == 503 and "busy" in answer.text else answer.text, said
        event = json.loads(answer.text)["event_id"]
        stream = send(url, "GET", f"/gradio_api/call/text_to_image/{event}").text
        if "event: complete" not in stream:
            return stream[-200:], said
        return json.loads(stream.strip().splitlines()[-1].removeprefix("data: ")), said

    return ask


def asked(number):
    return {"prompt": f"a red circle {number}", "seeds": [number], "num_steps": 1 + number % 3}


def pixels_of(url, gallery):
    path = gallery[0]["image"]["path"]
    return Image.open(io.BytesIO(send(url, "GET", f"/gradio_api/file={path}").content)).convert("RGB").tobytes()


def test_every_visitor_gets_what_they_asked_for_bit_for_bit(url, ask, pipeline, repeats):
    """Ten visitors; who compares with the library's own pixels sees at once if two answers were exchanged."""
    users, each = 10, repeats(quick=3, full=200)
    kinds = min(60, users * each)
    expected = [pipeline.text_to_image(**asked(number)).images[0].tobytes() for number in range(kinds)]
    sec, memory = [], []

    def visit(user):
        for round in range(each):
            number, begin = (user * each + round) % kinds, time.monotonic()
            while (answer := ask(**asked(number))[0]) == "busy":  # a person would press again
                time.sleep(0.05)
            gallery, report = answer
            assert report["settings"]["prompt"] == f"a red circle {number}"
            assert pixels_of(url, gallery) == expected[number]
            sec.append(time.monotonic() - begin)
            memory.append(psutil.Process().memory_info().rss)

    with ThreadPoolExecutor(users) as crowd:
        list(crowd.map(visit, range(users)))
    assert len(sec) == users * each
    quarter = len(memory) // 4
    grown = (max(memory[-quarter:]) - max(memory[:quarter])) / 1e6
    measured(
        "load",
        requests=len(sec),
        p50_sec=sorted(sec)[len(sec) // 2],
        p95_sec=sorted(sec)[int(0.95 * len(sec))],
        grown_mb=grown,
    )
    assert threading.active_count() < 80


def test_a_full_queue_says_that_it_is_busy_and_loses_nobody(ask, repeats):
    """More requests at once than the queue takes: each is done, or told to come again."""
    count = repeats(quick=40, full=200)
    with ThreadPoolExecutor(count) as crowd:
        answers = list(crowd.map(lambda _: ask(prompt="a star", num_steps=3), range(count)))
    kinds = ["done" if isinstance(answer, list) else answer for answer, _ in answers]
    assert set(kinds) <= {"done", "busy"}, set(kinds)
    assert kinds.count("done") >= 16
    assert kinds.count("busy") > 0
    assert isinstance(ask(prompt="a star")[0], list)  # and afterwards all is well
    slowest = max(said for answer, said in answers if answer == "busy")
    measured("overload", posts=count, done=kinds.count("done"), busy=kinds.count("busy"), slowest_no_sec=slowest)


def live_tensors():
    gc.collect()
    return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())


def test_visitors_who_leave_in_the_midst_cost_nothing(url, repeats):
    """A walk of many steps is left at any of them; the next visitor is served, and nothing stays in memory."""
    count = repeats(quick=4, full=50)
    waits = []
    before = memory = None
    for number in range(count + 2):
        if number == 2:  # the first ones warm everything up
            before, memory = live_tensors(), psutil.Process().memory_info().rss
        leaving = gradio_client.Client(url, verbose=False)
        leaving.submit(prompt="a star", num_steps=200, api_name="/text_to_image")
        time.sleep(0.02 * (1 + number % 20))
        begin = time.monotonic()
        leaving.close()
        next_one = gradio_client.Client(url, verbose=False)
        next_one.predict(prompt="a star", num_steps=1, api_name="/text_to_image")
        waits.append(time.monotonic() - begin)
        next_one.close()
    time.sleep(3)
    left = live_tensors() - before
    measured("cancels", count=count, slowest_next_sec=max(waits[2:]), tensors_left=left, grown_mb=growth_mb(memory))
    assert left < 200  # desks of the last visitors may still hold one run's trajectory each

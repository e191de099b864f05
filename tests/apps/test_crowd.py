"""Many visitors at once: nobody's answer is lost or another's, the full queue says so, and who leaves costs nothing.

With LDM_LAB_FULL=1 and -s, as often as docs/acceptance.md says, with the figures printed.
"""

import gc
import io
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image

import ldm_lab as lab
from apps.studio import Models, Options, serve
from ldm_lab.tasks.kinds import TEXT
from tests.apps.wire import Visitor, begin, call, end, interface, send, values_of
from tests.stand_ins.slow_model import SlowLoader

pytest.importorskip("gradio_client")

pytestmark = pytest.mark.slow
LONG_WALK = 200  # steps
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "studio.md"


def measured(name, **figures):
    print(f"\n{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))


def growth_mb(before):
    return (psutil.Process().memory_info().rss - before) / 1e6


@pytest.fixture(scope="module")
def pipeline(tiny_folder):
    return lab.load(tiny_folder)


@pytest.fixture(scope="module")
def ask(url):
    return asking(url)


def asking(url, name="text_to_image"):
    """Asks an endpoint by its settings: what became of it, and how long the answer to the request itself took."""
    parameters = interface(url)[name]

    def ask(**values):
        started = time.monotonic()
        answer = begin(url, name, values_of(parameters, **values))
        said = time.monotonic() - started
        if answer.status != 200:
            return "busy" if answer.status == 503 and "busy" in answer.text else answer.text, said
        event, last = end(url, name, answer)
        return json.loads(last) if event == "complete" else last, said

    return ask


def asked(number):
    return {"prompt": f"a red circle {number}", "seeds": [number], "num_steps": 1 + number % 3}


def pixels_of(url, gallery):
    path = gallery[0]["image"]["path"]
    return Image.open(io.BytesIO(send(url, "GET", f"/gradio_api/file={path}").content)).convert("RGB").tobytes()


def visited(url, pipeline, *, users, each, settings):
    """Visitors who ask one after the other for images, and compare them with the library's own pixels; who does sees at
    once if two answers were exchanged. Seconds and memory at the end of every request.
    """
    ask, kinds = asking(url), min(60, users * each)
    expected = [pipeline.text_to_image(**settings(number)).images[0].tobytes() for number in range(kinds)]
    sec, memory = [], []

    def visit(user):
        for round in range(each):
            number, started = (user * each + round) % kinds, time.monotonic()
            while (answer := ask(**settings(number))[0]) == "busy":  # a person would press again
                time.sleep(0.05)
            gallery, report = answer
            assert report["settings"]["prompt"] == settings(number)["prompt"]
            assert pixels_of(url, gallery) == expected[number]
            sec.append(time.monotonic() - started)
            memory.append(psutil.Process().memory_info().rss)

    with ThreadPoolExecutor(users) as crowd:
        list(crowd.map(visit, range(users)))
    assert len(sec) == users * each
    return sorted(sec), memory


def tell(name, sec, memory):
    quarter = max(1, len(memory) // 4)
    grown = (max(memory[-quarter:]) - max(memory[:quarter])) / 1e6
    p50, p95 = sec[len(sec) // 2], sec[int(0.95 * len(sec))]
    measured(name, requests=len(sec), p50_sec=p50, p95_sec=p95, grown_mb=grown)
    return grown


def test_every_visitor_gets_what_they_asked_for_bit_for_bit(url, pipeline, repeats):
    sec, memory = visited(url, pipeline, users=10, each=repeats(quick=3, full=200), settings=asked)
    assert tell("load", sec, memory) < repeats(quick=300, full=30)  # a short one has not seen everything once
    assert threading.active_count() < 80


def test_so_it_is_with_the_shipped_model(free_port, repeats):
    """At its own size and with its own weights, whose arithmetic has more ways to depend on what else is computed; the
    example of the documentation is tried on the way.
    """
    words = [f"a {colour} {shape}" for colour in ("red", "blue", "green") for shape in ("circle", "star", "square")]

    def settings(number):
        return {"prompt": words[number % len(words)], "seeds": [number], "num_steps": repeats(quick=1, full=10)}

    with serve(Models(), Options(port=free_port())) as page:
        url, each = page.local_url.rstrip("/"), repeats(quick=1, full=20)
        tell("shipped model", *visited(url, lab.load(TEXT.shipped), users=5, each=each, settings=settings))
        exec(documented_example().replace("http://127.0.0.1:7860", url), {})


def documented_example():
    """The Python of docs/studio.md, which compares the pixels itself."""
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert "assert " in example
    return example


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


@pytest.fixture(scope="module")
def load():
    return SlowLoader(step_sec=0.05)


@pytest.fixture(scope="module")
def slow_url(load, make_models, free_port):
    with serve(make_models(load=load), Options(port=free_port())) as page:
        yield page.local_url.rstrip("/")


def test_visitors_who_leave_in_the_midst_end_their_walk_and_cost_nothing(slow_url, load, repeats):
    """At any step of a long walk; the next visitor need not wait for its end, and nothing stays in memory."""
    count, parameters, waits = repeats(quick=4, full=50), interface(slow_url)["text_to_image"], []
    before = memory = None
    for number in range(count + 2):
        if number == 2:  # the first ones warm everything up
            before, memory = live_tensors(), psutil.Process().memory_info().rss
        evaluations = load.num_evaluations
        leaving = Visitor(slow_url)
        assert leaving.begin("text_to_image", values_of(parameters, prompt="a star", num_steps=LONG_WALK)).status == 200
        while load.num_evaluations < evaluations + 1 + number % 20:
            time.sleep(0.01)
        started = time.monotonic()
        leaving.leave()
        next_one = call(slow_url, "text_to_image", values_of(parameters, prompt="a star", num_steps=1))
        assert next_one[0] == "complete"
        waits.append(time.monotonic() - started)
        assert load.num_evaluations - evaluations < LONG_WALK
    left = live_tensors() - before
    measured("cancels", count=count, slowest_next_sec=max(waits[2:]), tensors_left=left, grown_mb=growth_mb(memory))
    assert left < 200  # desks of the last visitors may still hold one run's trajectory each

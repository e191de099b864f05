import subprocess
import sys
import threading

import pytest
import torch

from ldm_lab.session.job import Job
from ldm_lab.session.worker import Worker, hire, release

TIMEOUT_SEC = 120


@pytest.fixture
def worker():
    worker = Worker("test")
    yield worker
    worker.abandon()


def make_job(worker, work, **options):
    return Job(lambda job: work(), on_worker=worker.is_current, **options)


def test_all_work_is_done_in_one_thread_that_is_not_the_caller_s(worker):
    jobs = [make_job(worker, lambda: (threading.get_ident(), worker.is_current())) for _ in range(3)]
    for job in jobs[:2]:
        worker.submit(job)
    worker.call(jobs[2])
    found = {job.result(TIMEOUT_SEC) for job in jobs}
    assert len(found) == 1
    assert (threading.get_ident(), True) not in found
    assert not worker.is_current()


def test_it_ends_after_what_it_is_at_and_what_waits(worker):
    jobs = [make_job(worker, lambda: 7) for _ in range(5)]
    for job in jobs:
        worker.submit(job)
    worker.end()
    assert not worker.is_alive
    assert [job.result() for job in jobs] == [7] * 5


def test_a_call_from_a_job_is_carried_out_at_once(worker):
    inner = make_job(worker, lambda: "inner")

    def outer():
        worker.call(inner)
        return inner.result()

    job = make_job(worker, outer)
    worker.submit(job)
    assert job.result(TIMEOUT_SEC) == "inner"


def test_hired_and_released_from_many_threads_there_is_one_worker_and_then_none():
    device, seen = torch.device("cpu"), []
    first = hire(device)

    def use():
        for _ in range(50):
            worker = hire(device)
            seen.append(worker)
            release(worker)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {first}
    assert first.is_alive
    release(first)
    assert not first.is_alive


ENDS_EARLY = """
import threading, torch
from ldm_lab.session.job import Job
from ldm_lab.session.worker import hire

worker = hire(torch.device("cpu"))
begun = threading.Event()

def work(job):
    begun.set()
    while not job.token.is_cancelled:
        torch.ones(100, 100) @ torch.ones(100, 100)

worker.submit(Job(work, on_worker=worker.is_current))
worker.submit(Job(lambda job: print("never"), on_worker=worker.is_current))
begun.wait()
"""


def test_python_ends_cleanly_while_a_job_runs():
    done = subprocess.run([sys.executable, "-c", ENDS_EARLY], capture_output=True, text=True, timeout=TIMEOUT_SEC)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

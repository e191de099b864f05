"""The web studio timed as its visitors meet it: a server of its own, a real browser, and many requests at once.

    python -m benchmarks.studio [--folders FOLDER …] [--rounds N] [--requests N] [--cancels N] [--output FOLDER]

A time begins with the hand, a press or a request, and ends when the page or the answer is there.
"""

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.panel_report import Figure
from benchmarks.studio_load import LONG_WALK, NUM_POSTS, growth_mb, seconds_after_leaving, seconds_to_busy
from ldm_lab.evaluation.report import Table, circumstances, render, write_report
from tests.browser.jupyter import chromium, find_chromium
from tests.serving import free_port, wait_for

ROOT = Path(__file__).parents[1]
START_SEC = 600.0
WAIT_MSEC = 300_000  # of a page that would never come; nothing is measured by it
IMAGE = "#create-gallery img"
STOPPED = "document.querySelector('#create-status').innerText.includes('Stopped')"


@dataclass(frozen=True, kw_only=True)
class StudioReport:
    """What was measured of the studio, beside what was asked for."""

    figures: tuple[Figure, ...]
    remarks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Headline."""
        return "The web studio, from the hand to the page"

    def tables(self) -> list[Table]:
        """The figures."""
        header = ("", "median (least–most)", "asked for", "met")
        return [Table(header=header, rows=tuple(figure.cells() for figure in self.figures))]

    def notes(self) -> list[str]:
        """How to read it."""
        return [
            "the first press meets a server that has just been started; Stop contains the decoding of what there is",
            "after a visitor leaves in the midst, the next one's time contains a walk of one step",
            *self.remarks,
        ]

    def values(self) -> dict[str, Any]:
        """Every sample."""
        return {"figures": [asdict(figure) for figure in self.figures], "remarks": list(self.remarks)}


@contextlib.contextmanager
def served(folders: Sequence[Path] = ()) -> Iterator[tuple[str, int]]:
    """``ldm-lab studio`` in a process of its own on a free port; yields its address and the number of the process."""
    port = free_port()
    words = ["studio", *map(str, folders), "--port", str(port)]
    command = [sys.executable, "-c", "from ldm_lab.cli import main; raise SystemExit(main())", *words]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, server, patience_sec=START_SEC)
        yield url, server.pid
    finally:
        server.terminate()
        server.wait(timeout=60)


def time_page(browser: Any, url: str, *, rounds: int) -> list[Figure]:
    """In the browser: the page, the first press and later ones, and Stop; the server must have just been started."""
    with _page(browser, url) as (page, first_open):
        first_press, opens = _press(page, seed=0), [first_open]
        later = [_press(page, seed=number + 1) for number in range(rounds)]
        page.get_by_text("How the image is made").click()
        page.get_by_label("number input for Steps").first.fill(str(LONG_WALK))
        page.keyboard.press("Tab")
        stops = [_stop(page) for _ in range(rounds)]
    for _ in range(rounds - 1):
        with _page(browser, url) as (_, seconds):
            opens.append(seconds)
    return [
        _seconds("page opens", opens, limit=5.0, words="W10"),
        _seconds("first press to the image", [first_press], limit=5.0, words="two cores"),
        _seconds("later presses to the image", later),
        _seconds(f"Stop, in a walk of {LONG_WALK} steps, to the page that says so", stops, limit=1.0, words="W8"),
    ]


def time_crowd(url: str, pid: int, *, posts: int, cancels: int, requests: int) -> list[Figure]:
    """Over the wire: many at once, visitors who leave, and memory."""
    busy = seconds_to_busy(url, count=posts)
    waits = seconds_after_leaving(url, count=cancels)
    grown = growth_mb(url, pid, requests=requests)
    return [
        _seconds(f'slowest "busy" of {posts} posts at once', [max(busy, default=0.0)], limit=1.0, words="W7"),
        _seconds(f"slowest image after {cancels} visitors who left", [max(waits)], limit=2.0, words="W8"),
        Figure(title=f"growth of memory over {requests} requests", samples=(grown,), unit="MB", limit=30.0, words="W5"),
    ]


def main(
    *,
    folders: tuple[Path, ...] = (),
    rounds: int = 5,
    posts: int = NUM_POSTS,
    cancels: int = 50,
    requests: int = 2000,
    output: Path | None = None,
) -> None:
    """Time the web studio on the shipped models; leave the machine alone meanwhile.

    Args:
        folders: Checkpoints to offer besides the shipped ones; the page begins with the first of them.
        rounds: Samples of each figure of the browser.
        posts: Requests at once.
        cancels: Visitors who leave in the midst.
        requests: Over which memory is watched.
        output: Folder for studio.md and studio.json; None writes nothing.
    """
    if find_chromium() is None:
        sys.exit("no Chromium was found; on Debian apt-get install chromium")
    load = os.getloadavg()[0]
    with served(folders) as (url, pid):
        with chromium() as browser:
            figures = time_page(browser, url, rounds=rounds)
        figures += time_crowd(url, pid, posts=posts, cancels=cancels, requests=requests)
    remark = f"load average {load:.1f} on {os.cpu_count()} cores before the start"
    report = StudioReport(figures=tuple(figures), remarks=(remark,))
    made = circumstances(shlex.join(["python", "-m", "benchmarks.studio", *sys.argv[1:]]))
    print(render(report, made))
    if output is not None:
        write_report(output, report, made, name="studio")


@contextlib.contextmanager
def _page(browser: Any, url: str) -> Iterator[tuple[Any, float]]:
    """The page as somebody sees it who has never been there, and the seconds until it could be used."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT_MSEC)
    started = time.monotonic()
    page.goto(url, timeout=WAIT_MSEC)
    page.wait_for_selector("#create-run")
    try:
        yield page, time.monotonic() - started
    finally:
        context.close()


def _press(page: Any, *, seed: int) -> float:
    """Seconds from Generate to the image of a seed, which must not be that of the press before."""
    before = page.evaluate(f"document.querySelector('{IMAGE}')?.src")
    page.get_by_label("Seed").first.fill(str(seed))
    started = time.monotonic()
    page.click("#create-run")
    page.wait_for_function(f"(before) => (document.querySelector('{IMAGE}')?.src ?? before) !== before", arg=before)
    page.wait_for_function(f"document.querySelector('{IMAGE}')?.complete")
    return time.monotonic() - started


def _stop(page: Any) -> float:
    """Seconds from Stop, after the first previews of a walk, until the page says that it has stopped."""
    page.click("#create-run")
    page.wait_for_function(f"!({STOPPED})")
    page.wait_for_selector("#create-preview img")
    page.wait_for_timeout(500)
    started = time.monotonic()
    page.click("#create-stop")
    page.wait_for_function(STOPPED)
    return time.monotonic() - started


def _seconds(title: str, samples: Sequence[float], *, limit: float | None = None, words: str = "") -> Figure:
    return Figure(title=title, samples=tuple(samples), unit="s", digits=2, limit=limit, words=words)


if __name__ == "__main__":
    tyro.cli(main)

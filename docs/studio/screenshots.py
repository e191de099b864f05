"""Pictures of every tab, wide and narrow, light and dark: ``python -m docs.studio.screenshots [TAB …]``.

They are taken of the shipped models in the machine's own Chromium, without a network, and lie beside this file.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.studio import Models, Options, serve
from tests.browser.jupyter import chromium
from tests.serving import free_port

HERE = Path(__file__).parent
WIDTHS = (1280, 390)
WAIT_MS = 300_000  # of a machine that has other things to do


def create(page: Any) -> None:
    """An image of the filled-in example."""
    page.click("#create-run")
    page.wait_for_selector("#create-scrubber input")


def inpaint(page: Any) -> None:
    """A stroke over the middle of the example, made anew."""
    canvas = page.locator("#inpaint-canvas canvas").first
    canvas.wait_for()
    page.wait_for_timeout(3000)  # it fits the picture in
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 90, y + 90)
    page.mouse.down()
    page.mouse.move(x, y + 60, steps=8)
    page.mouse.up()
    page.click("#inpaint-run")
    page.wait_for_selector("#inpaint-scrubber input")


def latents(page: Any) -> None:
    """The last image of Create, with a cell chosen."""
    page.click("#latents-take")
    page.wait_for_selector("#latents-channels img")
    image = page.locator("#latents-decoded img").first
    box = image.bounding_box()
    image.click(position={"x": 0.42 * box["width"], "y": 0.45 * box["height"]})
    page.wait_for_selector("#latents-words img")


def compression(page: Any) -> None:
    """A scene through every first stage that is there."""
    page.click("#compression-run")
    page.get_by_text("Done.").wait_for()


def grid(page: Any) -> None:
    """The filled-in example."""
    page.click("#grid-run")
    page.get_by_text("6 of 6 cells").wait_for()


def compare(page: Any) -> None:
    """The last images of Create and Inpaint."""
    page.get_by_text("First: last image of Create").click()
    page.wait_for_selector("#compare-facts table")


def layout(page: Any) -> None:
    """The filled-in example."""
    page.click("#layout-run")
    page.wait_for_selector("#layout-scrubber input")


def upscale(page: Any) -> None:
    """The example."""
    page.click("#upscale-run")
    page.wait_for_selector("#upscale-scrubber input")


TABS: dict[str, Callable[[Any], None]] = {
    "Create": create,
    "Inpaint": inpaint,
    "Layout": layout,
    "Upscale": upscale,
    "Latents": latents,
    "Compression": compression,
    "Grid": grid,
    "Compare": compare,
}


def take(page: Any, tab: str) -> None:
    """Four pictures of a tab as it is."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in ("light", "dark"):
            page.evaluate(f"document.body.classList.toggle('dark', {str(theme == 'dark').lower()})")
            page.wait_for_timeout(1500)
            page.screenshot(path=HERE / f"{tab.lower()}-{width}-{theme}.png", full_page=True)
    page.evaluate("document.body.classList.remove('dark')")
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})


def main(names: list[str]) -> None:
    """Take those that are named, or all; Create comes first, because others use its image."""
    port = free_port()
    with serve(Models(), Options(port=port)), chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
        page.set_default_timeout(WAIT_MS)
        page.goto(f"http://127.0.0.1:{port}/", timeout=WAIT_MS)
        page.wait_for_selector("#create-run")
        for tab, prepare in TABS.items():
            if names and tab not in names and tab != "Create":
                continue
            page.get_by_role("tab", name=tab, exact=True).click()
            prepare(page)
            take(page, tab)


if __name__ == "__main__":
    main(sys.argv[1:])

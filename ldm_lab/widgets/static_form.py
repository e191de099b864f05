"""A panel where no widget runs: on GitHub, in nbconvert, in a file."""

import base64
from html import escape

from PIL import Image

from ldm_lab.widgets.pictures import png_of_image

MIN_WIDTH = 400  # pixels on the screen; smaller pictures are enlarged by a whole factor


def static_bundle(*, title: str, caption: str, picture: Image.Image | None, code: str) -> dict[str, str]:
    """HTML, and PNG if there is something to see, by their MIME types; PNG in base64, as a notebook file holds it."""
    lines = [f"<strong>{escape(title)}</strong>"]
    bundle = {}
    if picture is not None:
        data = base64.b64encode(png_of_image(picture)).decode()
        width = picture.width * max(1, MIN_WIDTH // picture.width)
        style = f"width:{width}px;max-width:100%;image-rendering:pixelated"
        alt = escape(caption or title, quote=True)
        lines.append(f'<br/><img src="data:image/png;base64,{data}" alt="{alt}" style="{style}"/>')
        bundle["image/png"] = data
    lines.append(f"<p>{escape(caption or 'A panel: run the cell to use it.')}</p>")
    lines.append(f"<details><summary>Python</summary><pre>{escape(code)}</pre></details>")
    return {"text/html": f"<div>{''.join(lines)}</div>", **bundle}


def page(title: str, body: str) -> str:
    """A whole page."""
    head = f'<head><meta charset="utf-8"><title>{escape(title)}</title></head>'
    return f'<!DOCTYPE html><html lang="en">{head}<body>{body}</body></html>'

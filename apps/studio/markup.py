"""HTML of what the page says. Everything that a visitor or a file brought is escaped here, and nowhere else."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ldm_lab.viz import Sprites


def empty(sentence: str) -> str:
    """A place where something will be, and what to do that it comes."""
    return f'<div class="preview"><p>{escape(sentence)}</p></div>'


def preview(jpeg: bytes, *, alt: str) -> str:
    """A frame of a walk under way."""
    data = base64.b64encode(jpeg).decode()
    return f'<div class="preview"><img src="data:image/jpeg;base64,{data}" alt="{escape(alt)}"></div>'


def status(sentence: str, notes: Iterable[str] = ()) -> str:
    """How things are, and what should be known of the result."""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<div role="status"><strong>{escape(sentence)}</strong>{f"<ul>{items}</ul>" if items else ""}</div>'


def table(rows: Sequence[Sequence[Any]], *, header: Sequence[str] = ()) -> str:
    """Cells as they are, the first of each row as its name."""
    head = f"<tr>{''.join(f'<th>{escape(str(cell))}</th>' for cell in header)}</tr>" if header else ""
    body = "".join(
        f"<tr><th>{escape(str(first))}</th>{''.join(f'<td>{escape(_short(cell))}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<table>{head}{body}</table>"


def facts(values: Mapping[str, Any]) -> str:
    """Names and values."""
    return table(list(values.items()))


def scrubber(sprites: Sprites, captions: Sequence[str], *, alt: str) -> str:
    """Frames under a slider; to move it asks nobody, because the browser has them all on one sheet.

    The slider's code stands in ``SCRUBBER_SCRIPT``.
    """
    scale = max(1, 256 // sprites.width)
    width, height = scale * sprites.width, scale * sprites.height
    last = len(sprites.indices) - 1
    rows = -(-len(sprites.indices) // sprites.columns)
    sheet = base64.b64encode(sprites.data).decode()
    words = escape("\n".join(captions))
    return (
        f'<div class="scrub" data-columns="{sprites.columns}" data-width="{width}" data-height="{height}"'
        f' data-captions="{words}"><div class="frame" role="img" aria-label="{escape(alt)}" style="width:{width}px;'
        f"height:{height}px;background-size:{width * sprites.columns}px {height * rows}px;"
        f'background-image:url(data:image/jpeg;base64,{sheet})"></div>'
        f'<input type="range" min="0" max="{last}" value="{last}" aria-label="step"><output></output></div>'
    )


SCRUBBER_SCRIPT = """
const show = () => {
  const box = element.querySelector('.scrub');
  if (!box) return;
  const slider = box.querySelector('input'), index = Number(slider.value), columns = Number(box.dataset.columns);
  const left = -(index % columns) * Number(box.dataset.width);
  const top = -Math.floor(index / columns) * Number(box.dataset.height);
  box.querySelector('.frame').style.backgroundPosition = `${left}px ${top}px`;
  box.querySelector('output').textContent = box.dataset.captions.split('\\n')[index] || '';
};
element.addEventListener('input', show);
watch('value', show);
show();
"""


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}…"

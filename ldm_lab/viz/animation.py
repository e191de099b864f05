"""Frames as a file: a moving picture, or a strip."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from ldm_lab.core.errors import MissingDependencyError, RequestError
from ldm_lab.core.images import strip
from ldm_lab.core.io import write_atomic
from ldm_lab.viz.enlarged import enlarged

FRAMES_PER_SECOND = 8.0
MIN_SIDE = 256  # pixels; players show small films small
SUFFIXES = (".gif", ".webp", ".mp4", ".png")


def save_frames(
    frames: Sequence[Image.Image], path: str | Path, *, frames_per_second: float = FRAMES_PER_SECOND
) -> Path:
    """Write frames of one size; the suffix says as what.

    Args:
        frames: At least one.
        path: ``.gif`` (256 colours), ``.webp`` (all colours, no loss), ``.mp4`` (H.264, by the machine's ffmpeg) or
            ``.png`` (a strip, no loss).
        frames_per_second: Of moving pictures.

    Raises:
        RequestError: If there is no frame, or the suffix is another.
        MissingDependencyError: If there is no ffmpeg for ``.mp4``.
        CheckpointError: If the file cannot be written.
    """
    path = Path(path)
    if not frames:
        raise RequestError("there is no frame to save; make a run with steps first")
    match path.suffix.lower():
        case ".png":
            data = _encoded(strip(frames), "PNG")
        case ".gif" | ".webp":
            data = _moving(_large(frames), path.suffix[1:].upper(), frames_per_second)
        case ".mp4":
            data = _film(_large(frames), frames_per_second)
        case other:
            raise RequestError(f"the file ends in {other!r:.20}; choose one of {', '.join(SUFFIXES)}")
    write_atomic(path, data)
    return path


def _large(frames: Sequence[Image.Image]) -> list[Image.Image]:
    return [enlarged(frame, side=MIN_SIDE) for frame in frames]


def _moving(frames: list[Image.Image], format: str, frames_per_second: float) -> bytes:
    options = {"lossless": True} if format == "WEBP" else {}
    return _encoded(
        frames[0],
        format,
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / frames_per_second),
        loop=0,
        **options,
    )


def _film(frames: list[Image.Image], frames_per_second: float) -> bytes:
    program = shutil.which("ffmpeg")
    if program is None:
        raise MissingDependencyError("MP4 needs the program ffmpeg: apt-get install ffmpeg, or save as .webp or .gif")
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"  # yuv420p, which every player reads, has colours for two pixels together
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "film.mp4"
        command = [program, "-loglevel", "error", "-f", "image2pipe", "-framerate", f"{frames_per_second:g}"]
        command += ["-i", "-", "-vf", even, "-pix_fmt", "yuv420p", str(target)]
        pictures = b"".join(_encoded(frame, "PNG") for frame in frames)
        made = subprocess.run(command, input=pictures, capture_output=True)
        if made.returncode != 0:
            raise RequestError(f"ffmpeg could not make the film: {made.stderr.decode(errors='replace').strip():.200}")
        return target.read_bytes()


def _encoded(frame: Image.Image, format: str, **options) -> bytes:
    buffer = BytesIO()
    frame.save(buffer, format, **options)
    return buffer.getvalue()

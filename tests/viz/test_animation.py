import os

import pytest
from PIL import Image

from ldm_lab.core.errors import MissingDependencyError, RequestError
from ldm_lab.viz import save_frames

FRAMES = [Image.new("RGB", (8, 6), color) for color in ("red", "green", "blue")]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_moving_pictures_are_enlarged_and_keep_their_colours(tmp_path, suffix):
    with Image.open(save_frames(FRAMES, tmp_path / f"film{suffix}", frames_per_second=4)) as film:
        assert (film.n_frames, film.size) == (3, (256, 192))
        film.seek(1)
        assert film.convert("RGB").getpixel((5, 5)) == (0, 128, 0)
        film.seek(2)
        film.load()
        assert film.info["duration"] == 250


def test_a_strip_has_no_loss(tmp_path):
    with Image.open(save_frames(FRAMES, tmp_path / "film.png")) as strip:
        assert strip.width > 3 * 8


def test_a_film_is_made_by_the_program_of_the_machine(tmp_path, monkeypatch):
    """One that keeps what it is given stands for ffmpeg."""
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor target; do :; done\ncat > "$target"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    data = save_frames(FRAMES, tmp_path / "film.mp4").read_bytes()
    assert data.count(b"\x89PNG") == 3


def test_what_a_film_lacks_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="apt-get install ffmpeg"):
        save_frames(FRAMES, tmp_path / "film.mp4")


def test_a_program_that_fails_is_said(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho no such codec >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RequestError, match="ffmpeg could not make the film: no such codec"):
        save_frames(FRAMES, tmp_path / "film.mp4")


def test_nothing_is_refused(tmp_path):
    with pytest.raises(RequestError, match="there is no frame"):
        save_frames([], tmp_path / "film.gif")

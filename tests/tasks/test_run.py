import base64
import json
import re
from io import BytesIO

import pytest
from PIL import Image

from ldm_lab.core.config import to_dict
from ldm_lab.core.errors import CheckpointError, RequestError
from ldm_lab.tasks import Branch, Origin, Paint, Recipe, Run, TextToImageSettings, carry_out
from ldm_lab.tasks.picture import read_record
from ldm_lab.tasks.record import parse_record


@pytest.fixture(scope="module")
def run(tiny_model):
    settings = TextToImageSettings.of(prompt="a <b>red</b> circle", seeds=[4, 5], num_steps=12, sampler="ddim")
    return carry_out(tiny_model, settings, origin=Origin(name="tiny"))


def test_it_names_itself_briefly(run):
    assert repr(run) == "Run('a <b>red</b> circle', 2 images)"


def test_a_picture_carries_the_run(run, tmp_path):
    run.images[1].save(tmp_path / "x.png")
    image, values = read_record(tmp_path / "x.png")
    assert parse_record(values, source="x.png") == run.record
    assert image.tobytes() == run.images[1].tobytes()


def test_the_grid_holds_the_images(run):
    grid = run.grid()
    assert grid.size == (2 * 16 + 3 * 2, 16 + 2 * 2)
    assert grid.crop((20, 2, 36, 18)).tobytes() == run.images[1].tobytes()


def test_a_single_image_stands_on_its_sheet_without_a_margin(tiny_model):
    run = carry_out(tiny_model, TextToImageSettings.of(prompt="a star", num_steps=1))
    assert run.grid().tobytes() == run.images[0].tobytes()


def test_the_strip_shows_predictions_from_the_first_to_the_last(run):
    strip = run.strip(1)
    assert strip.size == (8 * 16 + 9 * 2, 16 + 2 * 2)
    first, last = (run.outcome.decode(run.trajectory[i].z_0_pred[1:])[0] for i in (0, -1))
    assert strip.crop((2, 2, 18, 18)).tobytes() == first.tobytes()
    assert strip.crop((128, 2, 144, 18)).tobytes() == last.tobytes()


@pytest.mark.parametrize(("asked", "width"), [(1, 16), (3, 3 * 18 + 2), (12, 12 * 18 + 2), (99, 12 * 18 + 2)])
def test_a_strip_has_at_most_as_many_frames_as_steps(run, asked, width):
    assert run.strip(num_frames=asked).width == width


def test_a_strip_of_nothing_is_refused(run):
    with pytest.raises(RequestError, match="num_frames is 0; give at least 1"):
        run.strip(num_frames=0)
    with pytest.raises(RequestError, match="there is no image 2; the run has 2"):
        run.strip(2)


def test_saving_writes_everything(run, tmp_path):
    folder = run.save(tmp_path / "deep" / "out")
    names = {"image-0-seed-4.png", "image-1-seed-5.png", "grid.png", "strip.png", "run.json"}
    assert {path.name for path in folder.iterdir()} == names
    content = json.loads((folder / "run.json").read_text())
    assert content["settings"] == to_dict(run.settings)
    assert content["duration_sec"] > 0
    assert parse_record(read_record(folder / "image-1-seed-5.png")[1], source="x") == run.record


def test_saving_twice_gives_the_same_files(run, tmp_path):
    first, second = (run.save(tmp_path / name) for name in "ab")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_a_folder_that_cannot_be_written_is_one_sentence(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot write to .*file; choose another folder|cannot write to .*file: "):
        run.save(tmp_path / "file")
    with pytest.raises((RequestError, CheckpointError), match="cannot write"):
        run.save("/proc/out")


def test_it_shows_itself_in_a_notebook(run):
    text = run._repr_html_()
    assert "<b>red" not in text
    assert "&lt;b&gt;red" in text
    for name in to_dict(run.settings):
        assert name in text
        assert str(getattr(run.settings, name)) in text or name == "prompt"
    data = base64.b64decode(re.search(r'base64,([^"]+)"', text)[1])
    assert data == run._repr_png_()
    assert Image.open(BytesIO(data)).tobytes() == run.grid().tobytes()


def test_notes_are_shown_and_escaped(tiny_model):
    settings = TextToImageSettings.of(prompt="<script>", num_steps=1)
    text = carry_out(tiny_model, settings)._repr_html_()
    assert "never saw" in text
    assert "<script>" not in text


def test_a_branch_says_what_it_left(tiny_model, run):
    branch = Branch(parent=run, step=3, recipe=Recipe((Paint(value=1.5),)))
    child = carry_out(tiny_model, run.settings, origin=Origin(name="tiny"), branch=branch)
    text = child._repr_html_()
    assert "<td>left another run</td><td>at step 3, Paint(" in text
    assert "left another run" not in run._repr_html_()
    assert child.record.branch.parent == run.record


def test_an_opened_run_knows_its_settings_and_is_made_once(run):
    calls = []

    def make():
        calls.append(1)
        return run.outcome

    opened = Run(run.settings, make, recorded=run.provenance)
    assert opened.settings == run.settings
    assert repr(opened) == "Run('a <b>red</b> circle', 2 images, not made again yet)"
    assert calls == []
    assert opened.images[0].tobytes() == run.images[0].tobytes()
    assert (opened.notes, opened.partial, len(opened.trajectory)) == (run.notes, False, 12)
    assert calls == [1]
    assert repr(opened) == repr(run)


def test_frames_come_with_their_steps(run):
    frames = run.frames(1, num_frames=2)
    assert [step for step, _ in frames] == [run.trajectory[0], run.trajectory[-1]]
    last = run.outcome.decode(run.trajectory[-1].z_0_pred[1:])[0]
    assert frames[-1][1].tobytes() == last.tobytes()

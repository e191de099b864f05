import pytest

from ldm_lab.core.errors import RequestError
from ldm_lab.data.captions import Asked, AskedObject
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.evaluation import text_alignment
from ldm_lab.evaluation.report import circumstances, render
from ldm_lab.evaluation.text_alignment import evaluate_text_model, held_out_part
from ldm_lab.tasks import Pipeline

CAPTIONS = ["a red circle", "a small blue star", ""]


@pytest.fixture
def pipeline(tiny_model):
    return Pipeline(tiny_model)


@pytest.fixture
def painted_by(monkeypatch):
    """Replace the model's images by those of a painter that knows the scenes."""

    def replace(paint):
        def sample(pipeline, captions, settings, *, negative):
            for split in ("test", "unseen"):
                source = ShapeScenes(split=split)
                if [caption.text for caption in source.captions(range(len(captions)))] == list(captions):
                    yield from paint(source, len(captions)).split(7)

        monkeypatch.setattr(text_alignment, "sample_conditions", sample)

    return replace


def test_a_perfect_painter_is_perfect_and_its_shuffled_images_are_not(pipeline, painted_by):
    painted_by(lambda source, count: source.images(range(count)))
    progress = []
    report = evaluate_text_model(pipeline, num_captions=30, on_progress=progress.append)
    assert progress == [7, 14, 21, 28, 30, 37, 44, 51, 58, 60]
    for column in report.columns.values():
        assert column["wholly right"][0] == column["wholly right"][1] > 0
    assert report.columns["never-trained objects alone"]["shape"][1] < report.columns["never-trained pairs"]["shape"][1]
    for split in ("seen pairs", "never-trained pairs"):
        assert report.controls[f"drawn, {split}"]["wholly right"] == (30, 30)
        right, asked = report.controls[f"shuffled, {split}"]["goal attributes"]
        assert right < 0.5 * asked


def test_a_painter_who_mirrors_gets_relations_wrong_and_shapes_right(pipeline, painted_by):
    painted_by(lambda source, count: source.images(range(count)).flip(3))
    column = evaluate_text_model(pipeline, num_captions=40, splits=["test"]).columns["seen pairs"]
    assert column["shape and color"][0] == column["shape and color"][1]
    assert column["relation"][0] < 0.8 * column["relation"][1]


def test_a_painter_who_paints_what_was_trained_instead_is_found_out(pipeline, painted_by):
    """The never-trained objects are judged alone: an image that is right but for them gets nothing there."""

    painted_by(lambda source, count: source.images(range(count))[:, [1, 2, 0]])
    columns = evaluate_text_model(pipeline, num_captions=20, splits=["unseen"]).columns
    assert columns["never-trained objects alone"]["shape and color"][0] == 0


def test_only_never_trained_objects_count_alone():
    asked = Asked((AskedObject("circle", "red", "small"), AskedObject("star", "green")), relation="above")
    verdict = (("shape", True), ("color", True), ("size", True), ("shape", False), ("color", True), ("relation", True))
    assert held_out_part((*verdict, ("count", True)), asked) == (("shape", False), ("color", True))
    assert held_out_part(verdict, Asked((AskedObject("circle", "red", "small"),))) == ()


def test_the_report_says_how_the_images_were_made(pipeline, painted_by):
    painted_by(lambda source, count: source.images(range(count)))
    report = evaluate_text_model(pipeline, num_captions=17, num_steps=11, guidance_scale=2.5)
    text = render(report, circumstances("x"))
    assert "17 captions of seen pairs and 17 captions of never-trained pairs" in text
    assert "11 steps of dpm++2m, guidance 2.5" in text
    assert report.values()["settings"]["num_steps"] == 11
    assert report.samples["unseen"].sheet().size == report.samples["test"].sheet().size


@pytest.mark.parametrize(("setting", "value"), [("num_steps", 0), ("guidance_scale", float("nan")), ("width", 17)])
def test_settings_are_refused_before_any_image_is_made(pipeline, setting, value):
    with pytest.raises(RequestError, match=f"{setting} is {value}"):
        evaluate_text_model(pipeline, num_captions=500, **{setting: value})


def test_a_model_that_reads_no_text_is_refused(make_tiny_model):
    with pytest.raises(RequestError, match="unconditional"):
        evaluate_text_model(Pipeline(make_tiny_model(conditioner=None)), num_captions=500)

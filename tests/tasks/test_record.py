import pytest

from ldm_lab.core.config import to_dict
from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import AddNoise, Environment, Origin, Provenance, Recipe, RunRecord, TextToImageSettings
from ldm_lab.tasks.provenance import spell_differences
from ldm_lab.tasks.record import parse_record

PROVENANCE = Provenance(
    model=Origin(name="tiny", digest="ab", first_stage_digest="cd"),
    environment=Environment(device="CPU", dtype="float32", versions={"torch": "2.0", "numpy": "2.4"}),
)
SETTINGS = TextToImageSettings.of(prompt="a star", seeds=[3]).resolved(image_size=16)
RECORD = RunRecord(task="text_to_image", settings=SETTINGS, stopped_after=None, provenance=PROVENANCE)


def test_a_record_survives_json():
    assert parse_record(to_dict(RECORD), source="x.png") == RECORD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "x.png: the record has version 2, this ldm_lab reads 1"),
        ({"version": "9" * 5000}, "x.png: the record has version '9999"),
        ({"task": None}, "there is no task None"),
        ({"task": ["x"] * 9999}, r"there is no task \['x'"),
        ({"task": "unconditional"}, "UnconditionalSettings has no field guidance_box"),
        ({"task": "video"}, "there is no task 'video'; choose one of unconditional, class_to_image"),
        ({"stopped_after": 0}, "stopped_after is 0; it must be at least 1"),
        ({"stopped_after": True}, "stopped_after is True"),
        ({"settings": None}, "needs a mapping, got NoneType"),
        ({"settings": {"prompt": "x", "seeds": [2**40]}}, "seeds is 1099511627776"),
        ({"settings": {"prompt": "x", "num_steps": 10**9}}, "num_steps is 1000000000"),
        ({"provenance": {}}, "needs a value for model, environment"),
        ({"extra": 1}, "has no field extra"),
        ({"settings": {"prompt": ["x"] * 9000}}, "prompt is "),
    ],
)
def test_a_hostile_record_is_one_short_sentence(change, message):
    with pytest.raises(RequestError, match=message) as caught:
        parse_record(to_dict(RECORD) | change, source="x.png")
    assert len(str(caught.value)) <= 500


def branched(depth):
    """A record with so many ancestors, as JSON values."""
    values = to_dict(RECORD)
    for step in range(depth):
        recipe = [{"kind": "noise", "amount": 0.5}]
        values = to_dict(RECORD) | {"branch": {"step": step, "recipe": recipe, "parent": values}}
    return values


def test_a_branch_survives_json_with_all_that_it_comes_from():
    record = parse_record(branched(3), source="x.png")
    assert parse_record(to_dict(record), source="x.png") == record
    assert record.branch.step == 2
    assert record.branch.recipe == Recipe((AddNoise(amount=0.5),))
    assert record.branch.parent.branch.parent.branch.parent == RECORD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parent": None}, "x.png cannot be read as a run: a run is a mapping, this one a NoneType"),
        ({"parent": to_dict(RECORD) | {"version": 2}}, "the run that it left has version 2, read are 1"),
        ({"parent": to_dict(RECORD) | {"task": "video"}}, "there is no task 'video'"),
        ({"step": -1}, "step is -1; it must be at least 0"),
        ({"recipe": [{"kind": "exec"}]}, "an edit is of kind 'exec'"),
        ({"more": 1}, "BranchRecord has no field more"),
        (branched(101)["branch"], "it has more than 100 ancestors"),
    ],
)
def test_a_hostile_branch_is_one_short_sentence(change, message):
    values = branched(1)
    with pytest.raises(RequestError, match=message) as caught:
        parse_record(values | {"branch": values["branch"] | change}, source="x.png")
    assert len(str(caught.value)) <= 500


def test_a_branch_that_is_no_mapping():
    with pytest.raises(RequestError, match="branch is 'x'"):
        parse_record(to_dict(RECORD) | {"branch": "x"}, source="x.png")


def test_versions_are_names_and_strings():
    values = to_dict(RECORD)
    values["provenance"]["environment"]["versions"] = {"torch": 2}
    with pytest.raises(RequestError, match="versions is {'torch': 2}"):
        parse_record(values, source="x.png")


def test_differences_are_spelled_one_by_one():
    now = Provenance(
        model=Origin(name="tiny", digest="ff", first_stage_digest="cd"),
        environment=Environment(device="CPU", dtype="float32", versions={"torch": "2.1"}),
    )
    assert spell_differences(PROVENANCE, now) == [
        "model.digest was ab, now it is ff",
        "environment.versions.torch was 2.0, now it is 2.1",
        "environment.versions.numpy was 2.4, now it is absent",
    ]
    assert spell_differences(PROVENANCE, PROVENANCE) == []

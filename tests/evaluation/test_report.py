import json

import pytest

from ldm_lab.core.errors import ConfigError
from ldm_lab.evaluation.report import Table, circumstances, cpu_name, render, write_report

TABLE = Table(header=("row", "value"), rows=(("first", "1.0"), ("the second", "–")), title="Things")


class Found:
    title = "What was found"

    def tables(self):
        return [TABLE]

    def notes(self):
        return ["take care"]

    def values(self):
        return {"finite": 1.5, "nested": [float("nan"), {"deep": float("inf")}], "pair": (1, 2)}


def test_a_table_is_aligned():
    assert TABLE.markdown() == (
        "**Things**\n\n| row        | value |\n|------------|------:|\n| first      |   1.0 |\n| the second |     – |"
    )


def test_a_report_says_when_where_and_how():
    made = circumstances("ldm-lab evaluate x", device="cpu")
    text = render(Found(), made)
    assert text.startswith("## What was found\n\n**Things**")
    for part in ("take care", "ldm-lab evaluate x", cpu_name(), made.date, made.versions["torch"], "1 threads"):
        assert part in text


def test_files_are_written_and_numbers_that_are_none_become_null(tmp_path):
    write_report(tmp_path / "new", Found(), circumstances("x"), name="bench")
    assert (tmp_path / "new" / "bench.md").read_text() == render(Found(), circumstances("x"))
    values = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert values["nested"] == [None, {"deep": None}]
    assert values["pair"] == [1, 2]
    assert values["made"]["command"] == "x"


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="abacus"):
        circumstances("x", device="abacus")

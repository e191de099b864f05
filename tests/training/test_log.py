import json
import os

import pytest

from ldm_lab.core.errors import CheckpointError
from ldm_lab.training.log import RunLog


def test_lines_are_json_and_equal_for_equal_records(tmp_path):
    for name in ("a", "b"):
        log = RunLog(tmp_path / name / "log.jsonl")
        log.write({"step": 1, "loss": 0.123456789012})
        assert log.flush() == (tmp_path / name / "log.jsonl").stat().st_size
        log.close()
    text = (tmp_path / "a" / "log.jsonl").read_text()
    assert json.loads(text) == {"step": 1, "loss": 0.1234568}
    assert text == (tmp_path / "b" / "log.jsonl").read_text()


def test_what_the_checkpoint_does_not_know_is_cut_off(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.write({"step": 1})
    size = log.flush()
    log.write({"step": 2})
    log.close()
    log = RunLog(tmp_path / "log.jsonl", size=size)
    log.write({"step": 3})
    log.close()
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [1, 3]


def test_a_log_that_is_gone_begins_anew(tmp_path):
    log = RunLog(tmp_path / "log.jsonl", size=1000)
    log.write({"step": 3})
    log.close()
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 3}\n'


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    log = RunLog(tmp_path / "log.jsonl")
    log.write({"step": 1})

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        CheckpointError, match=r"cannot write .*log\.jsonl: No space left on device; .* last checkpoint"
    ):
        log.flush()
    log.close()

import shutil

import pytest

from ldm_lab.core.errors import CheckpointCorruptError, TrainingError
from ldm_lab.core.io import write_json, write_manifest
from ldm_lab.training.config import TrainingConfig
from ldm_lab.training.run_folder import check_same_run, exclusive, exported_steps, find_checkpoint


def checkpoint(folder, step):
    path = folder / "checkpoints" / f"step-{step:08d}"
    path.mkdir(parents=True)
    write_json(path / "state.json", {"step": step})
    write_manifest(path)
    return path


def test_a_second_trainer_is_refused_and_the_next_one_is_not(tmp_path):
    with exclusive(tmp_path / "run"):
        with pytest.raises(TrainingError, match=f"{tmp_path / 'run'} is in use by another training process"):
            exclusive(tmp_path / "run").__enter__()
        with exclusive(tmp_path / "other"):
            pass
    with exclusive(tmp_path / "run"):
        pass


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot write .*file/run: Not a directory; choose another folder"):
        exclusive(tmp_path / "file" / "run").__enter__()


def test_the_beginning_has_no_checkpoint(tmp_path):
    assert find_checkpoint(tmp_path, tidy=True) is None


def test_a_damaged_checkpoint_is_put_aside_with_a_warning(tmp_path):
    good, bad = checkpoint(tmp_path, 3), checkpoint(tmp_path, 7)
    (bad / "state.json").write_text("{}")
    leftover = bad.with_name(".tmp-0123")
    leftover.mkdir()
    assert find_checkpoint(tmp_path, tidy=False) == good
    assert bad.exists()
    with pytest.warns(UserWarning, match=r"step-00000007 is damaged and put aside.*state\.json"):
        assert find_checkpoint(tmp_path, tidy=True) == good
    assert sorted(path.name for path in good.parent.iterdir()) == ["damaged-step-00000007", "step-00000003"]
    assert find_checkpoint(tmp_path, tidy=True) == good


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_anew(tmp_path):
    bad = checkpoint(tmp_path, 7)
    (bad / "manifest.json").unlink()
    with pytest.raises(CheckpointCorruptError, match="every checkpoint in .* is damaged"):
        find_checkpoint(tmp_path, tidy=True)
    assert bad.exists()
    shutil.rmtree(bad)
    assert find_checkpoint(tmp_path, tidy=True) is None


def saved(config, **identity):
    from ldm_lab.core.config import to_dict

    return {"identity": identity, "training": to_dict(config)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, r"training\.seed=0, but now training\.seed=1"),
        ({"precision": "bf16"}, r"training\.precision='fp32', but now training\.precision='bf16'"),
        ({"betas": (0.5, 0.9)}, r"training\.betas=\[0\.9, 0\.999\], but now training\.betas=\[0\.5, 0\.9\]"),
    ],
)
def test_another_recipe_is_refused_with_field_and_values(tmp_path, change, message):
    with pytest.raises(TrainingError, match=message):
        check_same_run(saved(TrainingConfig()), identity={}, config=TrainingConfig(**change), folder=tmp_path)


def test_another_first_stage_or_data_set_is_refused(tmp_path):
    before = saved(TrainingConfig(), first_stage_digest="aa", data={"pictures": "bb", "length": 3})
    for identity, name in [
        ({"first_stage_digest": "cc", "data": {"pictures": "bb", "length": 3}}, "first_stage_digest='aa', but now"),
        ({"first_stage_digest": "aa", "data": {"pictures": "dd", "length": 3}}, r"data\.pictures='bb', but now"),
    ]:
        with pytest.raises(TrainingError, match=name):
            check_same_run(before, identity=identity, config=TrainingConfig(), folder=tmp_path)


def test_housekeeping_may_change_and_the_length_of_a_constant_rate(tmp_path):
    before = saved(TrainingConfig(num_steps=10))
    allowed = TrainingConfig(num_steps=20, save_every=7, keep=9, sheet_every=3, log_every=1)
    check_same_run(before, identity={}, config=allowed, folder=tmp_path)
    before = saved(TrainingConfig(num_steps=10, decay="cosine"))
    with pytest.raises(TrainingError, match=r"training\.num_steps=10, but now training\.num_steps=20"):
        check_same_run(before, identity={}, config=TrainingConfig(num_steps=20, decay="cosine"), folder=tmp_path)


def test_what_a_killed_writer_left_beside_the_model_is_removed(tmp_path):
    (tmp_path / ".tmp-0123").mkdir(parents=True)
    find_checkpoint(tmp_path, tidy=False)
    assert (tmp_path / ".tmp-0123").exists()
    find_checkpoint(tmp_path, tidy=True)
    assert list(tmp_path.iterdir()) == []


def test_no_model_has_no_steps(tmp_path):
    assert exported_steps(tmp_path / "model") is None

import pytest
import torch

from ldm_lab.checkpoints import shipped_first_stages
from ldm_lab.core.errors import CheckpointError
from ldm_lab.session import first_stages
from ldm_lab.session.first_stages import ZOO, LoadedFirstStages, lines_that_load, list_first_stages


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def named(name, folders=()):
    return next(entry for entry in list_first_stages(folders) if entry.name == name)


def test_what_is_shipped_has_its_weights():
    entry = named("shapes-kl-f4")
    assert entry.folder == first_stages.ZOO / "shapes-kl-f4"
    assert (entry.title, entry.has_codes) == ("KL, f = 4", False)


def test_what_only_a_recipe_knows_says_how_it_is_trained(monkeypatch):
    monkeypatch.setattr(first_stages, "shipped_first_stages", list)
    entry = named("shapes-vq-f8")
    assert entry.folder is None
    assert (entry.title, entry.has_codes) == ("VQ, f = 8", True)
    assert entry.command == "ldm-lab train autoencoder --preset shapes-vq-f8"


def test_they_stand_by_factor(monkeypatch):
    monkeypatch.setattr(first_stages, "shipped_first_stages", list)
    titles = [entry.title for entry in list_first_stages()]
    assert titles == ["KL, f = 2", "KL, f = 4", "VQ, f = 4", "KL, f = 8", "VQ, f = 8"]


def test_what_was_trained_here_is_found(monkeypatch, tmp_path, tiny_folder):
    monkeypatch.setattr(first_stages, "shipped_first_stages", list)
    folder = tmp_path / "runs" / "autoencoder-shapes-kl-f2"
    folder.mkdir(parents=True)
    (folder / "model").symlink_to(tiny_folder.parent / "tiny-kl", target_is_directory=True)
    assert named("shapes-kl-f2").folder == tiny_folder.parent / "tiny-kl"


def test_further_folders_are_listed_and_others_refused(tiny_folder, tmp_path):
    folder = tiny_folder.parent / "tiny-kl"
    assert named(f"{folder.parent.name}/tiny-kl", [folder]).title == "KL, f = 2"
    with pytest.raises(CheckpointError, match="there is no folder"):
        list_first_stages([tmp_path / "nowhere"])


def test_each_is_loaded_once(tiny_folder, tmp_path):
    folder, cpu = tiny_folder.parent / "tiny-kl", torch.device("cpu")
    loaded = LoadedFirstStages()
    first = loaded.of(folder, device=cpu)
    assert loaded.of(folder, device=cpu) is first
    with pytest.raises(CheckpointError, match="there is no folder"):
        loaded.of(tmp_path / "nowhere", device=cpu)


def test_the_lines_load_it_and_name_a_shipped_one_without_this_machine_s_path(tiny_folder):
    folders = [tiny_folder.parent / "tiny-kl", *(ZOO / name for name in shipped_first_stages()[:1])]
    for folder in folders:
        names = {}
        exec("\n".join(lines_that_load(folder)), names)
        assert names["first_stage"].config == LoadedFirstStages().of(folder, device=torch.device("cpu")).config
    shipped = lines_that_load(ZOO / "shapes-kl-f4")
    assert shipped[-1] == "first_stage = load_autoencoder(locate_first_stage('shapes-kl-f4'))"
    assert str(ZOO) not in "".join(shipped)

"""``ldm-lab doctor``: each thing that can be amiss is found and comes with the command that mends it."""

import shlex
import shutil
from email.message import Message
from importlib import metadata

import pytest
import torch
from packaging.requirements import Requirement

from ldm_lab.autoencoders.perceptual import VGG_FILE
from ldm_lab.checkpoints import zoo
from ldm_lab.cli import doctor as room
from ldm_lab.core import io

REQUIRES = [
    "torch>=2.11",
    "pillow>=11",
    'gradio>=6; extra == "app"',
    'numpy>=1; extra == "app"',
    'gradio>=6; extra == "all"',
]


@pytest.fixture
def installed(monkeypatch):
    """Pretend to be installed with ``REQUIRES``, in an environment whose versions a test can set."""
    versions = {"torch": "2.15.0", "pillow": "13.0", "gradio": "6.31", "numpy": "2.4"}
    provides = Message()
    for extra in ("app", "all"):
        provides["Provides-Extra"] = extra
    monkeypatch.setattr(metadata, "requires", lambda _: REQUIRES)
    monkeypatch.setattr(metadata, "metadata", lambda _: provides)
    monkeypatch.setattr(room, "installed_version", versions.get)
    return versions


def faults(findings) -> dict[str, tuple[str, str]]:
    return {finding.subject: (finding.status, finding.remedy) for finding in findings if finding.remedy}


def test_a_complete_installation_has_no_fault(installed):
    findings = list(room.check_requirements())
    assert [finding.subject for finding in findings] == ["packages", "app"]
    assert findings[0].status == "torch 2.15.0, pillow 13.0"
    assert faults(findings) == {}


def test_a_missing_extra_is_no_fault_but_has_a_remedy(installed):
    del installed["gradio"]
    (finding,) = [finding for finding in room.check_requirements() if finding.remedy]
    assert (finding.status, finding.remedy) == ("gradio is missing", 'pip install -c constraints.txt -e ".[app]"')
    assert not finding.is_fault
    assert str(finding).startswith("--  app")


def test_an_old_package_is_a_fault(installed):
    installed["torch"] = "2.4.1"
    (finding,) = [finding for finding in room.check_requirements() if finding.remedy]
    assert (finding.status, finding.remedy) == (
        "torch is 2.4.1, needed is >=2.11",
        'pip install -c constraints.txt -e "."',
    )
    assert finding.is_fault
    assert str(finding).startswith("!!  packages")


def test_a_local_version_label_is_no_fault(monkeypatch):
    monkeypatch.setattr(room, "installed_version", lambda _: "2.15.0+cpu")
    assert room.unmet_requirement(Requirement("torch>=2.11")) is None


def test_a_package_that_is_not_installed_says_how(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert faults(room.check_requirements()) == {
        "packages": ("ldm-lab itself is not installed", "pip install -c constraints.txt -e .")
    }


def test_a_device_that_is_not_there_says_how(monkeypatch):
    monkeypatch.setenv("LDM_LAB_DEVICE", "tpu9")
    finding = room.check_device()
    assert "tpu9" in finding.status
    assert finding.remedy == "unset LDM_LAB_DEVICE"


def test_a_damaged_model_says_how(tmp_path, monkeypatch):
    with io.atomic_folder(tmp_path / "toy") as draft:
        io.write_json(draft / "config.json", {"first_stage": {}})
        io.write_manifest(draft)
    shutil.copytree(tmp_path / "toy", tmp_path / "bad")
    (tmp_path / "bad" / "config.json").write_text('{"first_stage":  {}}')
    monkeypatch.setattr(zoo, "ZOO", tmp_path)
    bad, toy = room.check_models()
    assert toy.status == "toy is whole"
    assert "bad/config.json" in bad.status
    assert bad.remedy == "git checkout -- ldm_lab/zoo/bad"


def test_the_file_that_lpips_lacks_is_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / "vgg16-397923af.pth"
    missing = room.check_lpips()
    assert f"vgg16-397923af.pth is not at {path}" in missing.status
    assert "vgg16(weights=" in missing.remedy
    assert not missing.is_fault
    path.parent.mkdir()
    path.touch()
    assert room.check_lpips().remedy is None


def test_the_command_that_fetches_it_gets_that_file(monkeypatch):
    fetched = []

    def fetch(url, **_):
        fetched.append(url)
        raise ConnectionError

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    with pytest.raises(ConnectionError):
        exec(shlex.split(room.FETCH_VGG)[2])
    assert [url.rsplit("/")[-1] for url in fetched] == [VGG_FILE]


@pytest.mark.parametrize(("is_optional", "code"), [(True, 0), (False, 1)])
def test_only_what_everybody_needs_changes_the_exit_code(monkeypatch, capsys, is_optional, code):
    finding = room.Finding(subject="x", status="is amiss", remedy="mend x", is_optional=is_optional)
    monkeypatch.setattr(room, "examine", lambda: iter([finding]))
    assert room.doctor() == code
    assert "mend x" in capsys.readouterr().out


def test_the_report_of_this_machine_names_device_and_versions():
    report = "\n".join(map(str, room.examine()))
    assert "device" in report
    assert "Python" in report

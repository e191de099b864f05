import dataclasses
import json

import pytest
import torch
from PIL import Image

from ldm_lab.core.errors import CheckpointCorruptError, CheckpointError, CheckpointFormatError, RequestError
from ldm_lab.core.io import write_manifest
from ldm_lab.session import RunTree, count_common_steps
from ldm_lab.session import tree as tree_module
from ldm_lab.tasks import Branch, ImageToImageSettings, Paint, Recipe, prepare
from ldm_lab.tasks.picture import read_record
from ldm_lab.tasks.record import parse_record

RECIPE = Recipe((Paint.of(value=2.0, region=torch.eye(8)),))


@pytest.fixture(scope="module")
def runs(tiny_model):
    """A root, two that left it, one that left the first of them, and a root of its own."""
    from ldm_lab.tasks import Origin, Pipeline, TextToImageSettings

    pipeline = Pipeline(tiny_model, origin=Origin(name="tiny"))
    root = pipeline.carry_out(TextToImageSettings.of(prompt="a star", num_steps=5, sampler="dpm++2m", seeds=[1, 2]))

    def leave(parent, step, recipe=Recipe(), **changes):  # noqa: B008 (frozen)
        settings = dataclasses.replace(parent.settings, **changes)
        return pipeline.carry_out(settings, branch=Branch(parent=parent, step=step, recipe=recipe))

    first, second = leave(root, 2, RECIPE), leave(root, 3, prompt="a red circle", sampler="heun")
    grandchild = leave(first, 4, guidance_scale=1.0)
    picture = Image.effect_noise((16, 16), 90).convert("RGB")
    other = pipeline.carry_out(ImageToImageSettings.of(image=picture, num_steps=4))
    return root, first, second, grandchild, other


@pytest.fixture
def folder(runs, tmp_path):
    return RunTree(runs).save(tmp_path / "deep" / "tree")


def assert_same(run, other):
    assert run.settings == other.settings
    assert run.record == other.record
    assert run.notes == other.notes
    assert run.outcome.duration_sec == other.outcome.duration_sec
    assert (run.outcome.stride, run.partial) == (other.outcome.stride, other.partial)
    assert [image.tobytes() for image in run.images] == [image.tobytes() for image in other.images]
    assert count_common_steps(run, other) == len(run.trajectory) == len(other.trajectory)
    assert [step.index for step in run.trajectory] == [step.index for step in other.trajectory]


class TestTree:
    def test_it_knows_who_left_whom(self, runs):
        root, first, second, grandchild, other = runs
        tree = RunTree([other, grandchild, second])
        assert tree.runs == [other, root, first, grandchild, second]
        assert tree.roots == [other, root]
        assert tree.children(root) == [first, second]
        assert tree.children(grandchild) == []
        assert tree.path(grandchild) == [root, first, grandchild]
        tree.add(first)
        assert len(tree.runs) == 5
        assert repr(tree) == "RunTree(5 runs, 2 roots)"


class TestSaveAndLoad:
    def test_all_of_it_comes_back_equal(self, runs, folder):
        tree = RunTree.load(folder)
        for run, loaded in zip(runs, tree.runs, strict=True):
            assert_same(loaded, run)
        root, first, second, grandchild, other = tree.runs
        assert tree.roots == [root, other]
        assert grandchild.branch.parent is first
        assert first.branch.parent is second.branch.parent is root
        assert first.branch.recipe == RECIPE

    def test_shared_steps_are_stored_and_held_once(self, runs, folder):
        root, first, *_ = RunTree.load(folder).runs
        assert first.trajectory[:2] == root.trajectory[:2]
        assert root.trajectory[0].z_next is root.trajectory[1].z_t
        stored = json.loads((folder / "run-1" / "run.json").read_text())["steps"]
        assert [step["index"] for step in stored] == [2, 3, 4]
        size = (folder / "run-0" / "latents.safetensors").stat().st_size
        assert size < 16 * 2 * 3 * 64 * 4 + 4000  # 5 steps of 3 latents and the first: 16 of 2 × 3 × 8 × 8 numbers

    def test_a_loaded_run_is_left_as_the_one_that_was_saved(self, runs, folder, pipeline):
        loaded = RunTree.load(folder).runs[3]
        branches = [Branch(parent=parent, step=4, recipe=RECIPE) for parent in (loaded, runs[3])]
        found, expected = (pipeline.carry_out(loaded.settings, branch=branch) for branch in branches)
        assert count_common_steps(found, expected) == 5
        replayed = pipeline.carry_out(loaded.settings, branch=Branch(parent=loaded, step=4))
        assert count_common_steps(replayed, loaded) == 5

    def test_each_picture_carries_its_run_and_all_that_it_comes_from(self, runs, folder):
        record = parse_record(read_record(folder / "run-3" / "image-0-seed-1.png")[1], source="x.png")
        assert record == runs[3].record
        assert record.branch.parent.branch.recipe == RECIPE
        assert record.branch.parent.branch.parent == runs[0].record

    def test_without_a_model_latents_are_not_decoded(self, folder, session):
        z = torch.zeros(1, 3, 8, 8)
        with pytest.raises(RequestError, match="the run was loaded without a model"):
            RunTree.load(folder).runs[0].outcome.decode(z)
        decoded = RunTree.load(folder, decode=session.decode).runs[0].outcome.decode(z)
        assert decoded[0].tobytes() == session.decode(z)[0].tobytes()

    def test_what_was_rounded_stays_so(self, tiny_model, settings, tmp_path):
        run = prepare(tiny_model, settings(num_steps=12)).carry_out(trajectory_bytes=10_000)
        RunTree([run]).save(tmp_path / "tree")
        (loaded,) = RunTree.load(tmp_path / "tree").runs
        assert_same(loaded, run)
        assert loaded.trajectory[1].z_t.dtype == torch.half
        assert loaded.outcome.stride > 1

    def test_partial_runs(self, pipeline, settings, tmp_path):
        run = pipeline.carry_out(settings(), on_step=lambda step: step.index < 1)
        RunTree([run]).save(tmp_path / "tree")
        assert_same(RunTree.load(tmp_path / "tree").runs[0], run)

    def test_an_existing_folder_is_replaced_only_when_asked(self, runs, folder):
        with pytest.raises(CheckpointError, match="tree already exists; choose another folder"):
            RunTree(runs[:1]).save(folder)
        RunTree(runs[:1]).save(folder, replace=True)
        assert len(RunTree.load(folder).runs) == 1

    def test_a_failure_leaves_nothing_behind(self, runs, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(tree_module, "write_tensors", full)
        with pytest.raises(CheckpointError, match="disk full"):
            RunTree(runs).save(tmp_path / "tree")
        assert list(tmp_path.iterdir()) == []


def rewrite(folder, name, change):
    """Change a JSON file and state the new digests, as somebody who knows the format would."""
    path = folder / name
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    (folder / "manifest.json").unlink()
    write_manifest(folder)


class TestDamage:
    def test_a_single_bit_anywhere_is_noticed(self, folder):
        names = sorted(path for path in folder.rglob("*") if path.is_file())
        assert len(names) == 2 + 5 * 2 + 9
        for path in names:
            whole = path.read_bytes()
            flipped = bytearray(whole)
            flipped[len(whole) // 2] ^= 16
            path.write_bytes(bytes(flipped))
            with pytest.raises(CheckpointCorruptError, match=path.name):
                RunTree.load(folder)
            path.write_bytes(whole)
        RunTree.load(folder)  # and the undamaged folder is accepted

    @pytest.mark.parametrize("name", ["manifest.json", "tree.json", "run-1/latents.safetensors", "run-0/run.json"])
    def test_a_missing_file_is_named(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(CheckpointError, match=name.rpartition("/")[2]):
            RunTree.load(folder)

    def test_a_file_too_many_is_named(self, folder):
        (folder / "run-0" / "image-9.png").write_bytes(b"x")
        with pytest.raises(CheckpointCorruptError, match="does not list run-0/image-9.png"):
            RunTree.load(folder)

    @pytest.mark.parametrize(
        ("name", "change", "message"),
        [
            ("tree.json", lambda v: v.update(format="zip"), "does not say format 'ldm_lab runs', version 1"),
            ("tree.json", lambda v: v.update(version=2), "does not say format 'ldm_lab runs', version 1"),
            ("tree.json", lambda v: v.update(parents=7), "does not list up to 1000 runs"),
            ("tree.json", lambda v: v["parents"].__setitem__(1, 1), "run 1 left 1, which is not before it"),
            ("tree.json", lambda v: v["parents"].__setitem__(1, True), "run 1 left True, which is not before it"),
            ("tree.json", lambda v: v["parents"].__setitem__(1, None), "left_at is 2, which does not agree with tree"),
            ("tree.json", lambda v: v["parents"].append(0), "run-5/run.json is missing"),
            (
                "run-0/run.json",
                lambda v: v.update(extra=1),
                "run-0 cannot be read as a run: StoredRun has no field",
            ),
            ("run-0/run.json", lambda v: v.update(task="video"), "cannot be read as a run: there is no task 'video'"),
            ("run-0/run.json", lambda v: v["settings"].update(num_steps=0), "num_steps is 0"),
            ("run-0/run.json", lambda v: v["settings"].update(seeds=[3]), "image-0-seed-3.png"),
            ("run-0/run.json", lambda v: v["steps"][0].update(z_t="../x"), "step 0 needs the tensor '../x'"),
            ("run-1/run.json", lambda v: v.update(left_at=9), "step is 9; the run was left with 5 steps, 0 to 4"),
            ("run-1/run.json", lambda v: v["recipe"][0].update(kind="exec"), "an edit is of kind 'exec'"),
        ],
    )
    def test_a_folder_that_contradicts_itself_is_one_sentence(self, folder, name, change, message):
        rewrite(folder, name, change)
        with pytest.raises(CheckpointFormatError, match=message) as caught:
            RunTree.load(folder)
        assert len(str(caught.value)) <= 600

    def test_a_folder_of_something_else(self, tiny_folder, tmp_path):
        with pytest.raises(CheckpointFormatError, match="holds no runs: it has no manifest.json; check the path"):
            RunTree.load(tmp_path)
        with pytest.raises(CheckpointFormatError, match="tree.json is missing"):
            RunTree.load(tiny_folder)

"""The benchmark compares like with like and reports what it saw. Nothing here depends on how fast a machine is."""

import dataclasses
import json

import pytest
import torch

from ldm_lab import cli
from ldm_lab.cli import bench as command
from ldm_lab.cli import checkout
from ldm_lab.core.errors import MissingDependencyError, RequestError
from ldm_lab.evaluation.report import circumstances, render

benchmark = command.load_benchmark()

from benchmarks import cases, processes, roofline, subject  # noqa: E402
from benchmarks.peer import TextToImage  # noqa: E402
from benchmarks.timing import Samples, compare, measure, turns  # noqa: E402

QUICK = {"rounds": 1}


@pytest.fixture(autouse=True)
def toy_sizes(monkeypatch):
    monkeypatch.setattr(cases, "NUM_STEPS", 2)
    monkeypatch.setattr(cases, "IMAGES", 2)
    monkeypatch.setattr("benchmarks.timing.SHORTEST_SAMPLE_SEC", 0.0)
    monkeypatch.setattr(
        benchmark, "measure_roofline", lambda: roofline.measure_roofline(gemm_size=64, copy_elements=1 << 12)
    )


@pytest.fixture
def toy_subject(tiny_folder):
    with subject.open_subject(str(tiny_folder)) as opened:
        yield opened


@pytest.mark.parametrize("name", cases.CASES)
def test_both_sides_compute_the_same(toy_subject, name):
    """Of training two steps in a row: only the same gradients, optimiser and clipping keep the losses equal."""
    case = cases.CASES[name](toy_subject)
    for _ in range(2):
        ours, theirs = case.ours(), case.theirs()
        assert ours.abs().max() > 0
        assert (ours - theirs).abs().max() <= case.tolerance * theirs.abs().max()


def test_training_moves_the_loss(toy_subject):
    """Negative control of the comparison above: the second step is not the first one again."""
    case = cases.train_diffusion(toy_subject)
    assert case.ours() != case.ours()


def test_sides_that_differ_are_not_timed(monkeypatch, tiny_folder):
    def wrong(opened):
        case = cases.decode(opened)
        return dataclasses.replace(case, theirs=lambda: case.theirs() + 0.5)

    monkeypatch.setitem(cases.CASES, "decode", wrong)
    with pytest.raises(benchmark.DifferentResultError, match="autoencoder decode, 2 images: both sides differ by"):
        benchmark.run_bench(str(tiny_folder), rows=["decode"], **QUICK)


def test_a_report_holds_every_sample(tiny_folder):
    begun = []
    report = benchmark.run_bench(str(tiny_folder), rows=["unet-step", "decode"], rounds=3, on_row=begun.append)
    text = render(report, circumstances("x", device="cpu"))
    assert begun == ["unet-step", "decode"]
    assert "UNet step with guidance, 2 images" in text
    assert "GFLOP/s" in text
    assert "tiny-text" in text
    values = json.loads(json.dumps(report.values()))
    row = values["rows"]["unet-step"]
    assert len(row["samples"]["ours"]) == len(row["samples"]["theirs"]) == 3
    assert 0 < row["gflop"] < row["gflop_theirs"]  # keys, values and the prefix are computed once
    assert row["deviation"] < 1e-4


def test_flops_are_counted_as_on_paper():
    convolution = torch.nn.Conv2d(3, 5, 3, padding=1)
    x = torch.randn(2, 3, 8, 8)
    assert benchmark._count_gflop(lambda: convolution(x)) == pytest.approx(2 * 2 * 64 * 3 * 5 * 9 / 1e9)


def test_rows_slower_than_diffusers_are_named():
    rows = {
        name: benchmark.Row(title=name, unit="ms", samples=Samples((2.0, 2.0), (theirs, theirs)), gflop=1.0)
        for name, theirs in (("quick", 3.0), ("slow", 1.0))
    }
    report = benchmark.BenchReport(rows=rows, roofline=roofline.Roofline(gflops=1000.0, copy_gb=10.0))
    assert report.notes()[-1] == "slower than diffusers: slow"
    assert report.tables()[0].rows[0] == ("quick", "2.0 ms", "3.0 ms", "1.50x (1.50–1.50)", "1.0", "50 %")


def test_sides_take_turns_in_going_first():
    order = []
    measure(lambda: order.append("ours") or 1.0, lambda: order.append("theirs") or 2.0, rounds=3)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert list(turns(2)) == [("ours", "theirs"), ("theirs", "ours")]


def test_ratios_are_taken_round_by_round():
    """A machine that is twice as slow in the second round changes no ratio."""
    samples = Samples(ours=(1.0, 2.0, 1.0), theirs=(3.0, 6.0, 3.0))
    assert samples.ratios == (3.0, 3.0, 3.0)
    assert samples.spread == (3.0, 3.0)
    assert Samples((1.0,), (2.0,)).spread == (2.0, 2.0)


def test_both_sides_are_called_equally_often():
    calls = {"ours": 0, "theirs": 0}

    def count(name):
        calls[name] += 1

    compare(lambda: count("ours"), lambda: count("theirs"), rounds=4)
    assert calls["ours"] == calls["theirs"] >= 5


def test_importing_the_package_loads_no_torch():
    assert processes.import_seconds("ldm_lab")[1] is False


def test_what_diffusers_loads_from_disk_makes_the_same_images(toy_subject):
    """The cold start of diffusers begins there."""
    settings = {"seeds": (0, 1), "num_steps": 2, "guidance_scale": 4.0, "image_size": 16}
    loaded = TextToImage.from_pretrained(toy_subject.their_folder)
    before, after = (theirs("a red circle", **settings) for theirs in (toy_subject.theirs, loaded))
    assert [image.tobytes() for image in before] == [image.tobytes() for image in after]


@pytest.mark.slow
def test_a_cold_start_is_measured_in_a_process_of_its_own(toy_subject):
    seconds, found = processes.run_process(["-m", "benchmarks.cold_ours", str(toy_subject.folder), "16"])
    assert seconds > 0
    assert 50 < found["peak_mb"] < 5000


@pytest.mark.slow
def test_a_recipe_whose_model_is_not_there_gets_random_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "shipped_models", list)
    monkeypatch.setattr(subject, "TOKENIZER_CAPTIONS", 50)
    with subject.open_subject("shapes-text") as opened:
        assert "random weights" in opened.note
        assert "without its coordinates" in opened.note
        assert all(parameter.any() for parameter in opened.pipeline.model.unet.parameters())


def test_the_command_prints_and_writes_the_table(tiny_folder, tmp_path, capsys):
    words = ["bench", "--model", str(tiny_folder), "--rows", "decode", "--rounds", "1", "--output", str(tmp_path)]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.startswith((tmp_path / "bench.md").read_text())
    assert set(json.loads((tmp_path / "bench.json").read_text())["rows"]) == {"decode"}


@pytest.mark.parametrize(
    ("rows", "rounds", "sentence"), [(["unet"], 1, "there is no row unet; choose from"), (["decode"], 0, "rounds is 0")]
)
def test_a_mistake_is_one_sentence(tiny_folder, rows, rounds, sentence):
    with pytest.raises(RequestError, match=sentence):
        benchmark.run_bench(str(tiny_folder), rows=rows, rounds=rounds)


def test_without_the_repository_the_command_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    with pytest.raises(MissingDependencyError, match="clone the repository"):
        command.load_benchmark()

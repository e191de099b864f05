import ast
import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
MAX_CELL_LINES, MAX_FUNCTION_LINES = 16, 5
CELL_SEC = 600  # of a cell that would otherwise hang; nothing is measured by it
WIDGET = "application/vnd.jupyter.widget-view+json"

each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def prose(path):
    return "\n".join(cell.source for cell in cells(path, "markdown"))


def test_they_are_numbered_without_a_gap():
    assert [path.name[:3] for path in PATHS] == [f"{number:02}_" for number in range(11)]


def test_the_tour_leads_to_all_others():
    tour = prose(PATHS[0])
    assert [path.name for path in PATHS[1:] if f"({path.name})" not in tour] == []


@each_notebook
def test_cells_are_short_and_define_next_to_nothing(path):
    for cell in cells(path, "code"):
        assert len(cell.source.splitlines()) <= MAX_CELL_LINES, cell.source
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.ClassDef), cell.source
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, cell.source


@each_notebook
def test_the_first_cell_imports_reads_the_switch_and_sets_what_is_drawn(path):
    first, *others = cells(path, "code")
    assert first.source.startswith("import")
    assert 'os.environ.get("LDM_LAB_FAST") == "1"' in first.source
    assert re.search(r"^(SEEDS?|SCENE) = ", first.source, re.MULTILINE)
    assert "FAST" in "".join(cell.source for cell in [*others, first])


@each_notebook
def test_it_is_kept_without_outputs(path):
    for cell in cells(path, "code"):
        assert cell.outputs == []
        assert cell.execution_count is None


@each_notebook
def test_it_names_its_part_of_the_paper_and_ends_with_exercises_and_a_quiz(path):
    text = prose(path)
    assert re.search(r"\*\*.*([Ss]ection|[Ff]igure|[Tt]able)s? .*paper", text)
    exercises, quiz = text.split("## Exercises")[1].split("## Quiz")
    assert len(re.findall(r"^\d\. ", exercises, re.MULTILINE)) == 3
    assert len(re.findall(r"^\d\. ", quiz, re.MULTILINE)) == 5
    assert len(re.findall(r"<details><summary>Answer</summary>[^<]", quiz)) == 5
    assert quiz.count("</details>") == 5


@pytest.mark.notebook
@pytest.mark.slow
@each_notebook
def test_it_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("LDM_LAB_FAST", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=CELL_SEC, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data for output in outputs if "data" in output]
    assert any("image/png" in data for data in shown), "no picture was made"
    for data in shown:
        if WIDGET in data:
            assert "text/html" in data, f"a widget without a static form: {list(data)}"

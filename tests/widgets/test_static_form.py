"""What stays of a panel where no widget runs, by the program that GitHub's readers use."""

import nbformat
import pytest

CELLS = """
import ldm_lab as lab
from ldm_lab.widgets import {name}
session = lab.Session(lab.load({folder!r}))
run = session.model.text_to_image("a red circle", num_steps=2, sampler="ddim", seeds=[1])
panel = {name}(session, run)
assert panel.wait(60)
panel
"""


@pytest.mark.notebook
@pytest.mark.slow
@pytest.mark.parametrize("name", ["GeneratePanel", "TrajectoryPanel", "RewindPanel"])
def test_a_notebook_without_widgets_shows_the_picture(tiny_folder, name):
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter, MarkdownExporter

    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CELLS.format(name=name, folder=str(tiny_folder)))]
    )
    NotebookClient(notebook, timeout=120, kernel_name="python3", store_widget_state=False).execute()
    (output,) = notebook.cells[0].outputs
    assert {"text/html", "image/png", "application/vnd.jupyter.widget-view+json"} <= set(output.data)
    for exporter in (HTMLExporter(), MarkdownExporter()):
        text, _ = exporter.from_notebook_node(notebook)
        assert "data:image/png;base64," in text
        assert "model.text_to_image" in text

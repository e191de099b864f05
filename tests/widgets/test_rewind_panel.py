import io

import pytest
from PIL import Image

import ldm_lab as lab
from ldm_lab.core.errors import RequestError
from ldm_lab.session import RunTree, Session, are_identical
from ldm_lab.tasks import (
    AddNoise,
    Adjust,
    Branch,
    MaskPicture,
    Origin,
    Pipeline,
    Recipe,
    Renormalise,
    TextToImageSettings,
)
from ldm_lab.widgets import RewindPanel

TIMEOUT_SEC = 120


def ask(**values):
    asked = {"prompt": "a red circle", "num_steps": 5, "sampler": "ddim", "seeds": [5], "guidance_scale": 2.0}
    return TextToImageSettings.of(**(asked | values))


@pytest.fixture(scope="module")
def run(tiny_model):
    return Pipeline(tiny_model, origin=Origin(name="tiny")).carry_out(ask())


@pytest.fixture
def panel(session, run):
    with RewindPanel(session, run) as panel:
        assert panel.wait(TIMEOUT_SEC)
        panel.go_to(2)
        assert panel.wait(TIMEOUT_SEC)
        yield panel


def corner():
    """A region of four cells."""
    mask = Image.new("L", (8, 8))
    mask.paste(255, (0, 0, 2, 2))
    return MaskPicture.from_image(mask)


def use(panel, tool, **values):
    panel.tools._tool.value = tool
    for name, value in values.items():
        panel.tools._form.controls[name].set(value)
    panel.add_edit()


def walk_on(panel):
    panel.walk_on()
    assert panel.wait(TIMEOUT_SEC)
    return panel.run


class TestReplay:
    @pytest.mark.parametrize("sampler", ["ddim", "dpm++2m", "dpm++2m-sde"])
    def test_without_an_edit_it_is_identical_and_says_so(self, session, tiny_model, sampler):
        run = Pipeline(tiny_model, origin=Origin(name="tiny")).carry_out(ask(sampler=sampler))
        with RewindPanel(session, run) as panel:
            panel.wait(TIMEOUT_SEC)
            panel.go_to(3)
            child = walk_on(panel)
            assert child is not run
            assert are_identical(run, child)
            assert panel.status.kind == "done"
            assert "identical to the run that it left, bit for bit" in panel.status.text
            content, _ = panel.tree_view.delivered("runs")
            assert [node["mark"] for node in content["nodes"]] == ["", "✓ identical"]

    def test_an_edit_is_no_replay(self, panel, run):
        use(panel, "Re-noise", amount=1.0)
        child = walk_on(panel)
        assert not are_identical(run, child)
        assert "identical" not in panel.status.text


class TestEdits:
    def test_a_region_is_edited_and_nothing_else(self, panel, run):
        panel.pad.mask = corner()
        use(panel, "Re-noise", amount=0.5, draw=3)
        assert panel.tools.recipe == Recipe((AddNoise(amount=0.5, draw=3, region=corner()),))
        child = walk_on(panel)
        changed = child.trajectory[2].z_t != run.trajectory[2].z_t
        assert changed[..., :2, :2].all()
        assert not changed[..., 2:, :].any()
        assert not changed[..., :, 2:].any()

    def test_an_empty_mask_means_everywhere(self, panel):
        panel.pad.mask = MaskPicture.from_image(Image.new("L", (8, 8)))
        use(panel, "Gain and shift", gain=1.2)
        assert panel.tools.recipe.edits[0].region is None

    @pytest.mark.parametrize(
        ("tool", "values"),
        [
            ("Copy from a place or step", {"rows": 1, "columns": -2, "from_step": 0}),
            ("Copy from another run", {}),
            ("Gain and shift", {"gain": 1.5, "shift": -0.5}),
            ("Set to a value", {"value": 1.0}),
            ("Swap two channels", {"channels": (0, 2)}),
            ("Renormalise", {"channels": (1,)}),
        ],
    )
    def test_every_tool_makes_a_run(self, panel, tool, values):
        use(panel, tool, **values)
        child = walk_on(panel)
        assert panel.status.kind != "error", panel.status.text
        assert len(child.branch.recipe.edits) == 1
        edit = child.branch.recipe.edits[0]
        assert all(getattr(edit, name) == value for name, value in values.items())

    def test_the_latent_is_shown_as_the_recipe_makes_it(self, panel, session, run):
        def shown():
            assert panel.wait(TIMEOUT_SEC)
            _, (data,) = panel.pad.delivered("picture")
            return Image.open(io.BytesIO(data)).tobytes()

        assert shown() == session.draw(run.trajectory[2].z_t)[0].tobytes()
        use(panel, "Set to a value", value=0.0)
        assert shown() == session.draw(run.trajectory[2].z_t * 0)[0].tobytes()
        panel.tools.set(Recipe())
        assert shown() == session.draw(run.trajectory[2].z_t)[0].tobytes()

    def test_edits_are_taken_back_one_by_one(self, panel):
        use(panel, "Re-noise", amount=0.5)
        use(panel, "Gain and shift", gain=1.1)
        _, remove = panel.tools._list.children[0].children
        for callback in remove._click_handlers.callbacks:
            callback(remove)
        assert panel.tools.recipe == Recipe((Adjust(gain=1.1),))
        assert len(panel.tools._list.children) == 1

    def test_what_a_tool_does_not_accept_becomes_a_sentence(self, panel):
        panel.tools._tool.value = "Swap two channels"
        panel.tools._form.controls["channels"].set((0, 0))
        with pytest.raises(RequestError, match="name the two that change places"):
            panel.guarded(panel.add_edit)()
        assert panel.status.kind == "error"
        assert "name the two that change places" in panel.status.text

    def test_what_does_not_fit_the_latent_becomes_a_sentence(self, panel):
        use(panel, "Gain and shift", gain=1.1, channels=(7,))
        panel.wait(TIMEOUT_SEC)
        assert panel.status.text == "channels is 7, but there are 3, counted from 0"


class TestWarning:
    def test_an_unnatural_spread_warns_and_one_click_mends_it(self, panel):
        assert panel._warning_row.layout.display == "none"
        use(panel, "Gain and shift", gain=3.0)
        panel.wait(TIMEOUT_SEC)
        assert panel._warning_row.layout.display is None
        assert "3.00 times as large" in panel._warning.value
        for callback in panel._renormalise._click_handlers.callbacks:
            callback(panel._renormalise)
        panel.wait(TIMEOUT_SEC)
        assert panel.tools.recipe.edits[-1] == Renormalise()
        assert panel._warning_row.layout.display == "none"

    def test_it_is_no_refusal(self, panel):
        use(panel, "Gain and shift", gain=3.0)
        assert walk_on(panel).branch.recipe


class TestTree:
    def test_both_branches_stay(self, panel, run):
        use(panel, "Re-noise", amount=1.0)
        first = walk_on(panel)
        panel.tree_view.set_state({"chosen": 0})  # as the browser does
        panel.wait(TIMEOUT_SEC)
        assert panel.chosen is run
        panel.changes.controls["prompt"].set("a blue star")
        second = walk_on(panel)
        assert panel.tree.runs == [run, first, second]
        assert panel.tree.children(run) == [first, second]
        content, pictures = panel.tree_view.delivered("runs")
        assert [node["depth"] for node in content["nodes"]] == [0, 1, 1]
        assert content["nodes"][1]["changed"] == "left at step 2: noise amount 1"
        assert content["nodes"][2]["changed"] == "left at step 2: prompt: a blue star"
        assert len(set(pictures)) == 3
        assert panel.tree_view.chosen == 2

    def test_parent_and_child_are_compared(self, panel, run):
        assert panel.compare.delivered("pair") is None
        use(panel, "Re-noise", amount=1.0)
        child = walk_on(panel)
        _, pair = panel.compare.delivered("pair")
        before, after = (Image.open(io.BytesIO(data)).tobytes() for data in pair)
        assert (before, after) == (run.images[0].tobytes(), child.images[0].tobytes())
        assert panel.compare.before_name == "Run 0"

    def test_runs_of_a_tree_are_gone_on_with(self, session, run, panel):
        child = walk_on(panel)
        tree = RunTree([child])
        with RewindPanel(session, child, tree=tree) as other:
            assert other.tree.runs == [run, child]

    def test_results_are_told(self, panel):
        heard = []
        panel.on_result(heard.append)
        assert heard == []
        child = walk_on(panel)
        assert heard == [child]


class TestStop:
    def test_the_walk_ends_within_one_step_and_can_be_gone_on_with(self, gated, run):
        session, gate = gated
        gate.let_pass(5)
        own = session.submit(ask()).result(TIMEOUT_SEC)
        with RewindPanel(session, own) as panel:
            panel.wait(TIMEOUT_SEC)
            panel.go_to(1)
            use(panel, "Re-noise", amount=1.0)
            before = gate.count
            panel.walk_on()
            for _ in range(6):  # the semaphore counts the passes of the first run too
                gate.wait_inside()
            panel.stop()
            gate.let_pass()
            panel.wait(TIMEOUT_SEC)
            assert gate.count == before + 1
            assert panel.run.partial
            assert len(panel.run.trajectory) == 2
            assert panel.status.kind == "warning"
            content, _ = panel.tree_view.delivered("runs")
            assert content["nodes"][1]["mark"] == "⏸ stopped"
            assert not panel._walk.disabled


class TestSeveralImages:
    def test_only_the_image_that_is_shown_is_edited(self, session, tiny_model):
        run = Pipeline(tiny_model, origin=Origin(name="tiny")).carry_out(ask(seeds=[1, 2]))
        with RewindPanel(session, run) as panel:
            panel.wait(TIMEOUT_SEC)
            panel._image.value = 1
            panel.wait(TIMEOUT_SEC)
            use(panel, "Re-noise", amount=1.0)
            child = walk_on(panel)
            assert child.images[0].tobytes() == run.images[0].tobytes()
            assert child.images[1].tobytes() != run.images[1].tobytes()


class TestCode:
    def test_it_makes_what_walking_on_makes(self, tiny_folder):
        model = lab.load(tiny_folder)
        with Session(model) as session, RewindPanel(session, model.carry_out(ask())) as panel:
            panel.wait(TIMEOUT_SEC)
            panel.go_to(2)
            panel.pad.mask = corner()
            use(panel, "Re-noise", amount=0.7)
            panel.changes.controls["guidance_scale"].set(4.0)
            code = panel.code()
            child = walk_on(panel)
        names = {}
        exec(code.replace(repr(model.name), repr(str(tiny_folder))), names)
        assert names["run"].images[0].tobytes() == child.images[0].tobytes()


def test_a_run_that_cannot_be_left_is_refused(session, tiny_model):
    thinned = Session(Pipeline(tiny_model), trajectory_bytes=1500)
    with thinned, pytest.raises(RequestError, match="only one step of"):
        RewindPanel(session, thinned.submit(ask(num_steps=20)).result(TIMEOUT_SEC))


def test_the_static_form_shows_the_chosen_run(panel, run):
    assert panel.picture().tobytes() == run.grid().tobytes()
    assert Branch.__name__ in panel.static_bundle()["text/html"]


def test_fifty_panels_leave_nothing_behind(session, run, open_widgets):
    before = open_widgets()
    for _ in range(50):
        RewindPanel(session, run).close()
    assert open_widgets() == before

import gc
import io
import threading
import time
import weakref

import pytest
import torch
from PIL import Image

from ldm_lab.core.cancel import CancelledError
from ldm_lab.core.errors import NotEnoughMemoryError, RequestError
from ldm_lab.core.images import grid
from ldm_lab.session import Failed, Finished, Frame, Session, Started, Stepped, Stopped
from ldm_lab.session.preview import draw_latents, encode_frame
from ldm_lab.tasks import Branch, LargeImageSettings, Origin, Paint, Pipeline, Recipe

TIMEOUT_SEC = 120  # of tests that would otherwise hang; nothing is measured by it
NAMES = ("z_t", "z_0_pred", "noise_pred", "z_next", "output")


def assert_same_run(run, twin):
    assert [image.tobytes() for image in run.images] == [image.tobytes() for image in twin.images]
    for one, other in zip(run.trajectory, twin.trajectory, strict=True):
        assert (one.index, one.t) == (other.index, other.t)
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in NAMES)


class TestSubmit:
    def test_a_run_is_that_of_the_pipeline_bit_for_bit(self, session, pipeline, settings):
        asked = settings(sampler="dpm++2m-sde", seeds=[3, 4])
        assert_same_run(session.submit(asked).result(TIMEOUT_SEC), pipeline.carry_out(asked))

    def test_four_threads_hammer_one_session_and_each_run_equals_its_serial_twin(self, session, pipeline, settings):
        asked = [
            settings(seeds=[number], sampler=sampler, num_steps=2 + number % 3)
            for number, sampler in enumerate(["ddim", "euler-a", "dpm++2m", "dpm++2m-sde"] * 3)
        ]
        runs = {}

        def hammer(part):
            for number in range(part, len(asked), 4):
                job = session.submit(asked[number])
                assert session.decode(torch.full((1, 3, 8, 8), float(part)))[0].size == (16, 16)
                runs[number] = job.result(TIMEOUT_SEC)

        threads = [threading.Thread(target=hammer, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(runs) == len(asked)
        for number, settings_of_run in enumerate(asked):
            assert_same_run(runs[number], pipeline.carry_out(settings_of_run))

    def test_it_returns_at_once(self, gated, settings):
        session, gate = gated
        job = session.submit(settings())
        gate.wait_inside()  # the network computes, and here we are
        assert job.is_running
        assert not job.is_done
        gate.let_pass(4)
        assert len(job.result(TIMEOUT_SEC).trajectory) == 4
        assert job.is_done

    def test_jobs_are_carried_out_in_order_and_never_two_at_once(self, gated, settings):
        session, gate = gated
        order = []
        jobs = [
            session.submit(settings(seeds=[seed], num_steps=1), listener=lambda event, seed=seed: order.append(seed))
            for seed in range(3)
        ]
        for job in jobs:
            gate.wait_inside()
            assert gate.count == jobs.index(job) + 1
            gate.let_pass()
            job.result(TIMEOUT_SEC)
        assert order == sorted(order)
        assert set(order) == {0, 1, 2}

    def test_events_tell_the_whole_story(self, session, settings):
        job = session.submit(settings(seeds=[-1]))
        started, *middle, finished = job.events()
        steps = [event for event in middle if isinstance(event, Stepped)]
        assert isinstance(started, Started)
        assert started.settings.seeds[0] >= 0
        assert [(event.num_done, event.num_expected) for event in steps] == [(n, 4) for n in (1, 2, 3, 4)]
        assert {type(event) for event in middle} == {Stepped, Frame}
        assert isinstance(finished, Finished)
        assert finished.value is job.result()
        assert finished.value.settings == started.settings
        assert tuple(event.step for event in steps) == finished.value.trajectory
        assert list(job.events()) == []  # each is handed out once

    def test_a_trajectory_over_the_budget_is_noted(self, pipeline, settings):
        with Session(pipeline, trajectory_bytes=2000) as session:
            run = session.submit(settings(num_steps=8)).result(TIMEOUT_SEC)
        assert any("more than the 2.0 kB of its budget; it is kept in 16 bits" in note for note in run.notes)
        assert_images_equal(run, pipeline.carry_out(settings(num_steps=8)))

    def test_tensors_of_a_run_may_be_used_in_any_way(self, session, settings):
        step = session.submit(settings()).result(TIMEOUT_SEC).trajectory[1]
        step.z_t.clone().add_(1.0)
        step.z_t.add_(0.0)
        step.z_0_pred.requires_grad_().square().sum().backward()
        assert step.z_0_pred.grad is not None


def assert_images_equal(run, twin):
    assert [image.tobytes() for image in run.images] == [image.tobytes() for image in twin.images]


class TestLatestWins:
    def test_values_between_are_never_computed(self, gated, settings):
        session, gate = gated
        jobs = [session.submit(settings(num_steps=1, seeds=[0]), slot="seed")]
        gate.wait_inside()  # the first is carried out; the others meet in the slot
        jobs += [session.submit(settings(num_steps=1, seeds=[seed]), slot="seed") for seed in (1, 2, 3)]
        for job in jobs[1:3]:
            assert [event.reason for event in job.events()] == ["a newer job took its place"]
            with pytest.raises(CancelledError, match="a newer job took its place"):
                job.result()
        gate.let_pass(4)
        assert [jobs[place].result(TIMEOUT_SEC).settings.seeds for place in (0, 3)] == [(0,), (3,)]
        assert gate.count == 2

    def test_slots_do_not_disturb_each_other_nor_jobs_in_line(self, gated, settings):
        session, gate = gated
        running = session.submit(settings(num_steps=1))
        gate.wait_inside()
        others = [session.submit(settings(num_steps=1), slot=slot) for slot in ("a", "b", None, None)]
        newest = session.submit(settings(num_steps=1), slot="a")
        gate.let_pass(10)
        for job in (running, *others[1:], newest):
            job.result(TIMEOUT_SEC)
        assert others[0].is_done
        assert gate.count == 5

    def test_the_newest_takes_the_place_in_line(self, gated, settings):
        session, gate = gated
        order = []

        def submit(name, slot):
            return session.submit(
                settings(num_steps=1),
                slot=slot,
                listener=lambda event: order.append(name) if isinstance(event, Started) else None,
            )

        submit("running", None)
        gate.wait_inside()
        submit("old value", "slider")
        last = submit("explicit", None)
        submit("new value", "slider")
        gate.let_pass(10)
        last.result(TIMEOUT_SEC)
        assert order == ["running", "new value", "explicit"]

    def test_sessions_of_one_device_have_slots_of_their_own(self, gated, pipeline, settings):
        session, gate = gated
        session.submit(settings(num_steps=1))
        gate.wait_inside()
        with Session(pipeline) as other:
            jobs = [each.submit(settings(num_steps=1), slot="seed") for each in (session, other)]
            gate.let_pass(10)
            assert all(job.result(TIMEOUT_SEC) for job in jobs)


class TestCancel:
    @pytest.mark.parametrize("how", ["cancel", "stop"])
    def test_within_one_step(self, gated, settings, how):
        session, gate = gated
        job = session.submit(settings(num_steps=9))
        gate.let_pass(2)
        for _ in range(3):
            gate.wait_inside()
        getattr(job, how)()
        gate.let_pass(100)
        job.wait(TIMEOUT_SEC)
        assert gate.count == 3

    def test_cancelled_work_is_thrown_away(self, gated, settings):
        session, gate = gated
        job = session.submit(settings())
        gate.wait_inside()
        job.cancel()
        gate.let_pass(100)
        assert isinstance(list(job.events())[-1], Stopped)
        with pytest.raises(CancelledError, match="the job was cancelled"):
            job.result()

    def test_stopped_work_is_a_partial_run(self, gated, pipeline, settings):
        session, gate = gated
        latents = []
        genuine = gate._genuine
        gate._genuine = lambda z_t, *args: latents.append(weakref.ref(z_t)) or genuine(z_t, *args)
        job = session.submit(settings(num_steps=6))
        gate.let_pass(1)
        gate.wait_inside()
        gate.wait_inside()
        job.stop()
        gate.let_pass(100)
        run = job.result(TIMEOUT_SEC)
        assert run.partial
        assert run.outcome.stopped_after == 2
        assert_same_run(run, pipeline.carry_out(settings(num_steps=6), on_step=lambda step: step.index < 1))
        gc.collect()
        assert [ref() for ref in latents] == [None, None]  # a run has copies, and holds no walk that waits

    def test_a_waiting_job_ends_at_once(self, gated, settings):
        session, gate = gated
        session.submit(settings())
        gate.wait_inside()
        for how in ("cancel", "stop"):
            waiting = session.submit(settings())
            getattr(waiting, how)()
            assert waiting.is_done
            with pytest.raises(CancelledError):
                waiting.result()
        assert gate.count == 1

    def test_a_finished_job_stays_finished(self, session, settings):
        job = session.submit(settings())
        run = job.result(TIMEOUT_SEC)
        job.cancel()
        job.stop()
        assert job.result() is run

    @pytest.mark.parametrize("decoding", ["tiles", "strips"])
    def test_between_two_tiles_of_the_decoder(self, make_tiny_model, decoding, monkeypatch):
        """An image of 40 strips, or 9 tiles; the job is cancelled while the first is made."""
        model = make_tiny_model()
        monkeypatch.setattr("ldm_lab.tasks.large.TILE", 16)
        monkeypatch.setattr("ldm_lab.tasks.large.OVERLAP", 4)
        seen, jobs = [], []
        convolution = model.autoencoder.decoder.conv_in if decoding == "tiles" else model.autoencoder.decoder.conv_out

        def note_and_cancel(*_):
            seen.append(1)
            jobs[0].cancel()

        convolution.register_forward_hook(note_and_cancel)
        ready = threading.Event()
        with Session(Pipeline(model)) as session:
            asked = LargeImageSettings.of(prompt="a star", width=64, height=144, num_steps=1, decoding=decoding)
            jobs.append(session.submit(asked, preview="none", listener=lambda event: ready.wait(TIMEOUT_SEC)))
            ready.set()
            assert jobs[0].wait(TIMEOUT_SEC)
            with pytest.raises(CancelledError):
                jobs[0].result()
        assert len(seen) == 1

    def test_between_two_patches_of_a_step(self, gated):
        session, gate = gated
        asked = LargeImageSettings.of(prompt="a star", width=64, height=64, num_steps=3, patch_size=16)
        job = session.submit(asked)
        gate.let_pass(1)
        gate.wait_inside()
        gate.wait_inside()  # the second of 49 patches
        job.cancel()
        gate.let_pass(1000)
        assert job.wait(TIMEOUT_SEC)
        assert gate.count == 2


class TestErrors:
    def test_a_wrong_request_is_an_event_and_the_session_goes_on(self, session, settings, capfd, monkeypatch):
        monkeypatch.setattr(threading, "excepthook", lambda args: pytest.fail("an exception left the thread"))
        job = session.submit(settings(width=30))
        (failed,) = job.events()
        assert isinstance(failed, Failed)
        assert str(failed.error) == "width is 30; it must be a multiple of 4, the nearest is 28 or 32"
        assert "latent_shape" in failed.details  # the traceback says where
        with pytest.raises(RequestError, match="width is 30"):
            job.result()
        assert session.submit(settings()).result(TIMEOUT_SEC).images
        assert capfd.readouterr() == ("", "")

    def test_nan_names_the_step(self, make_tiny_model, settings):
        model = make_tiny_model()
        genuine = model.unet._walk
        evaluations = []

        def spoiled(*args):
            evaluations.append(1)
            return genuine(*args) * (torch.nan if len(evaluations) == 3 else 1.0)

        model.unet._walk = spoiled
        with Session(Pipeline(model)) as session:
            *events, failed = session.submit(settings()).events()
        assert "step 2 (t = 499) led to NaN or infinity in the latents of 1 of 1 images" in str(failed.error)
        assert len([event for event in events if isinstance(event, Stepped)]) == 2  # the last good one was shown
        assert len(evaluations) == 3

    def test_memory_that_runs_out_is_a_sentence_and_holds_nothing(self, make_tiny_model, settings):
        model = make_tiny_model()
        held = []

        def out_of_memory(*_):
            large = torch.zeros(1000)
            held.append(weakref.ref(large))
            raise torch.OutOfMemoryError("CUDA out of memory")

        model.unet._walk = out_of_memory
        with Session(Pipeline(model)) as session:
            job = session.submit(settings())
            with pytest.raises(NotEnoughMemoryError, match="not enough memory to make 1 images"):
                job.result(TIMEOUT_SEC)
            assert held[0]() is None  # the error is kept, the frames that led to it are not
            model.unet._walk = type(model.unet)._walk.__get__(model.unet)
            assert session.submit(settings()).result(TIMEOUT_SEC)

    def test_a_listener_that_fails_ends_the_job_and_is_heard_of(self, session, settings, refusing):
        job = session.submit(settings(), listener=refusing)
        (failed,) = job.events()
        assert "no, because the test says so" in str(failed.error)
        assert "Its listener failed too" in failed.error.__notes__[-1]
        assert session.submit(settings()).result(TIMEOUT_SEC)

    def test_a_listener_that_fails_at_the_last_event_is_heard_of_too(self, session, settings, refusing):
        def at_the_end(event):
            if isinstance(event, Finished):
                refusing()

        job = session.submit(settings(), listener=at_the_end)
        with pytest.raises(RequestError, match="no, because the test says so"):
            job.result(TIMEOUT_SEC)

    def test_what_even_ends_threads_is_an_event(self, session):
        job = session.call(lambda model: (_ for _ in ()).throw(SystemExit(3)))
        with pytest.raises(SystemExit):
            job.result(TIMEOUT_SEC)
        assert session.call(lambda model: model.name).result(TIMEOUT_SEC) == "tiny"

    def test_to_wait_where_the_waiting_never_ends_is_refused(self, session, settings):
        found = []

        def wait(event):
            if isinstance(event, Started):
                for ask in (lambda job: job.result(), lambda job: next(job.events())):
                    with pytest.raises(RequestError, match="waited for in the thread that has to carry it out"):
                        ask(session.submit(settings()))
                    found.append(1)

        session.submit(settings(), listener=wait).result(TIMEOUT_SEC)
        assert found == [1, 1]

    def test_an_unknown_preview_is_refused(self, session, settings):
        with pytest.raises(RequestError, match="preview is 'ascii'; choose one of linear, decoded, none"):
            session.submit(settings(), preview="ascii").result(TIMEOUT_SEC)

    def test_a_result_that_does_not_come_in_time(self, gated, settings):
        session, _ = gated
        with pytest.raises(TimeoutError, match="the job has not ended within 0.01 s"):
            session.submit(settings()).result(0.01)


class TestStream:
    def test_it_is_a_loop_over_events_that_ends_with_the_run(self, session, pipeline, settings):
        *_, last = session.stream(settings())
        assert_same_run(last.value, pipeline.carry_out(settings()))

    def test_errors_are_raised(self, session, settings):
        with pytest.raises(RequestError, match="width is 30"):
            list(session.stream(settings(width=30)))

    def test_closed_early_it_ends_the_sampling_and_lets_go_of_its_memory(self, gated, settings):
        session, gate = gated
        latents = []
        genuine = gate._genuine
        gate._genuine = lambda z_t, *args: latents.append(weakref.ref(z_t)) or genuine(z_t, *args)
        events = session.stream(settings(num_steps=9))
        gate.let_pass(2)
        seen = [next(events), next(events)]
        gate.wait_inside()
        gate.wait_inside()
        gate.wait_inside()  # the worker is one step ahead of what was read, or two
        gate.let_pass(100)
        events.close()
        count = gate.count
        assert count < 9
        assert all(job.is_done for job in session._jobs)
        del seen, events
        gc.collect()
        assert len(latents) == count
        assert [ref() for ref in latents] == [None] * count
        gate.let_pass(100)
        assert session.submit(settings()).result(TIMEOUT_SEC)
        assert gate.count == count + 4

    def test_a_loop_that_is_left_cleans_up(self, session, settings):
        for event in session.stream(settings(num_steps=50)):
            if isinstance(event, Stepped):
                break
        del event
        gc.collect()
        assert all(job.is_done for job in session._jobs)


class TestFrames:
    @pytest.mark.parametrize("preview", ["linear", "decoded"])
    @pytest.mark.parametrize(("count", "width"), [(1, 16), (9, 128)])
    def test_they_are_small_jpegs_of_all_images(self, pipeline, settings, preview, count, width):
        with Session(pipeline, frames_per_second=1e9) as session:
            listened = []
            asked = settings(seeds=range(count), width=width, num_steps=2)
            session.submit(asked, preview=preview, listener=listened.append).result(TIMEOUT_SEC)
        frames = [event for event in listened if isinstance(event, Frame)]
        assert [frame.num_done for frame in frames] == [1, 2]
        for frame in frames:
            image = Image.open(io.BytesIO(frame.jpeg))
            image.load()
            assert image.format == "JPEG"
            assert max(image.size) <= 256
            finished = grid([Image.new("RGB", (width, 16))] * count).size
            scale = min(1.0, 256 / max(finished))
            assert image.size == tuple(round(scale * side) for side in finished)

    def test_none_are_made_where_none_are_wanted(self, session, settings):
        assert not any(isinstance(event, Frame) for event in session.submit(settings(), preview="none").events())

    def test_of_those_that_nobody_has_read_only_the_newest_waits(self, pipeline, settings):
        with Session(pipeline, frames_per_second=1e9) as session:
            job = session.submit(settings())
            job.wait(TIMEOUT_SEC)
            events = list(job.events())
        assert [event.num_done for event in events if isinstance(event, Frame)] == [4]
        assert [event.num_done for event in events if isinstance(event, Stepped)] == [1, 2, 3, 4]

    def test_they_are_not_more_than_the_budget_allows(self, pipeline, settings):
        with Session(pipeline, frames_per_second=1e-9) as session:
            listened = []
            session.submit(settings(), listener=listened.append).result(TIMEOUT_SEC)
        assert [event.num_done for event in listened if isinstance(event, Frame)] == [1]

    def test_they_show_the_predicted_clean_latent(self, pipeline, settings):
        with Session(pipeline, frames_per_second=1e9) as session:
            listened = []
            session.submit(settings(), listener=listened.append).result(TIMEOUT_SEC)
        steps = {event.num_done: event.step for event in listened if isinstance(event, Stepped)}
        for frame in (event for event in listened if isinstance(event, Frame)):
            z_0, z_t = steps[frame.num_done].z_0_pred, steps[frame.num_done].z_t
            assert frame.jpeg == encode_frame(draw_latents(pipeline.model, z_0), factor=2)
            assert frame.jpeg != encode_frame(draw_latents(pipeline.model, z_t), factor=2)

    @pytest.mark.parametrize("preview", ["linear", "decoded"])
    def test_latents_of_another_scale_are_shown_as_they_will_be_decoded(self, pipeline, settings, preview):
        asked = LargeImageSettings.of(prompt="a star", num_steps=3, latent_scale=4.0)
        with Session(pipeline, frames_per_second=1e9) as session:
            *_, frame, finished = session.stream(asked, preview=preview)
            z_0 = finished.value.trajectory[-1].z_0_pred / 4.0
            shown = session.draw(z_0) if preview == "linear" else session.decode(z_0)
        assert frame.jpeg == encode_frame(shown, factor=2 if preview == "linear" else 1)

    def test_no_frame_is_decoded_in_one_piece_where_the_run_is_not(self, make_tiny_model, monkeypatch):
        model = make_tiny_model()
        monkeypatch.setattr(model, "decode", None)
        asked = LargeImageSettings.of(prompt="a star", num_steps=1, decoding="tiles")
        with Session(Pipeline(model)) as session:
            assert any(isinstance(event, Frame) for event in session.stream(asked, preview="decoded"))


class TestCalls:
    def test_they_come_between_two_steps_of_a_running_job(self, gated, settings):
        session, gate = gated
        job = session.submit(settings())
        gate.wait_inside()
        call = session.call(lambda model: (model.name, gate.count))
        gate.let_pass(1)
        assert call.result(TIMEOUT_SEC) == ("gated", 1)
        assert not job.is_done
        gate.let_pass(10)
        assert job.result(TIMEOUT_SEC)

    def test_decode_encode_and_draw_are_the_model_s(self, session, pipeline):
        z = torch.linspace(-1, 1, 192).reshape(1, 3, 8, 8)
        (image,) = session.decode(z)
        assert image.tobytes() == pipeline.decode(z)[0].tobytes()
        assert torch.equal(session.encode(image), pipeline.encode(image))
        (drawn,) = session.draw(z)
        assert drawn.size == (8, 8)

    def test_a_run_decodes_through_its_session_also_in_a_listener(self, session, pipeline, settings):
        strips = []

        def listener(event):
            if isinstance(event, Finished):
                strips.append(event.value.strip())

        run = session.submit(settings(), listener=listener).result(TIMEOUT_SEC)
        expected = pipeline.carry_out(settings()).strip().tobytes()
        assert strips[0].tobytes() == run.strip().tobytes() == expected

    def test_an_error_in_a_call_is_its_own(self, gated, settings, refusing):
        session, gate = gated
        job = session.submit(settings())
        gate.wait_inside()
        call = session.call(refusing)
        gate.let_pass(10)
        with pytest.raises(RequestError, match="no, because the test says so"):
            call.result(TIMEOUT_SEC)
        assert job.result(TIMEOUT_SEC)

    def test_cancelling_the_job_does_not_cancel_a_call_in_its_midst(self, gated, settings):
        session, gate = gated
        job = session.submit(settings())
        gate.wait_inside()
        call = session.call(lambda model: (job.cancel(), model.decode(torch.zeros(1, 3, 8, 8)))[1])
        gate.let_pass(10)
        assert call.result(TIMEOUT_SEC)[0].size == (16, 16)
        with pytest.raises(CancelledError):
            job.result(TIMEOUT_SEC)


class TestBranches:
    def test_a_branch_is_that_of_the_pipeline(self, session, pipeline, settings):
        run = session.submit(settings()).result(TIMEOUT_SEC)
        branch = Branch(parent=run, step=2, recipe=Recipe((Paint(value=1.0, channels=(0,)),)))
        *events, finished = session.stream(run.settings, branch=branch)
        twin = pipeline.carry_out(run.settings, branch=branch)
        assert_same_run(finished.value, twin)
        assert [event.num_done for event in events if isinstance(event, Stepped)] == [3, 4]
        assert finished.value.branch.parent is run

    def test_a_replay_without_an_edit_is_the_run(self, session, settings):
        run = session.submit(settings(sampler="dpm++2m-sde")).result(TIMEOUT_SEC)
        again = session.submit(run.settings, branch=Branch(parent=run, step=1)).result(TIMEOUT_SEC)
        assert_same_run(again, run)


@pytest.mark.parametrize("values", [{"trajectory_bytes": 0}, {"frames_per_second": 0}, {"frames_per_second": -1.0}])
def test_budgets_are_above_zero(pipeline, values):
    with pytest.raises(RequestError, match="both must be above 0"):
        Session(pipeline, **values)


class TestClose:
    def test_the_thread_ends_and_the_model_is_let_go(self, make_tiny_model, settings):
        model = make_tiny_model()
        alive = weakref.ref(model.unet)
        session = Session(Pipeline(model, origin=Origin(name="short-lived")))
        run = session.submit(settings()).result(TIMEOUT_SEC)
        ended = [session.submit(settings(width=30)), session.call(lambda _, unet=model.unet: type(unet).__name__)]
        for job in ended:
            job.wait(TIMEOUT_SEC)
        thread = session._worker._thread
        assert thread.is_alive()
        session.close()
        del model
        gc.collect()
        assert not thread.is_alive()
        assert alive() is None
        assert run.images[0].size == (16, 16)  # what was made stays
        with pytest.raises(RequestError, match="the session of 'short-lived' that made this run is closed"):
            run.strip()
        assert "short-lived" in repr(session)
        assert "closed" in repr(session)

    def test_jobs_are_cancelled_and_nothing_more_is_taken(self, gated, settings):
        session, gate = gated
        running, waiting = session.submit(settings(num_steps=9)), session.submit(settings())
        gate.wait_inside()
        closing = threading.Thread(target=session.close)
        closing.start()
        assert waiting.wait(TIMEOUT_SEC)
        assert running.token._event.wait(TIMEOUT_SEC)
        gate.let_pass(100)
        closing.join()
        assert gate.count == 1
        assert running.is_done
        for use in (session.submit, session.stream, lambda settings: session.decode(torch.zeros(1, 3, 8, 8))):
            with pytest.raises(RequestError, match="the session of 'gated' is closed; open another one"):
                list(use(settings()) or ())

    def test_closing_twice_and_in_a_listener(self, pipeline, settings):
        session = Session(pipeline)
        closed = threading.Event()

        def close(event):
            session.close()
            session.close()
            closed.set()

        job = session.submit(settings(), listener=close)
        assert closed.wait(TIMEOUT_SEC)
        assert job.wait(TIMEOUT_SEC)
        with pytest.raises(CancelledError):
            job.result()

    def test_sessions_of_one_device_share_a_thread_that_ends_with_the_last(self, pipeline):
        first, second = Session(pipeline), Session(pipeline)
        thread = first._worker._thread
        assert second._worker._thread is thread
        first.close()
        assert thread.is_alive()
        second.close()
        assert not thread.is_alive()
        with Session(pipeline) as third:
            assert third._worker._thread.is_alive()

    def test_an_idle_thread_holds_nothing_of_its_last_job(self, session, settings):
        job = session.submit(settings())
        latent = weakref.ref(job.result(TIMEOUT_SEC).trajectory[0].z_t)
        del job
        for _ in range(1000):  # the thread lets go right after it has told the result
            gc.collect()
            if latent() is None:
                return
            time.sleep(0.01)
        pytest.fail("the thread still holds the run")

"""What programs get: for every endpoint, the pixels that the library makes of the same settings."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ldm_lab as lab
from ldm_lab.session import Axis, cells_of
from ldm_lab.tasks import PastedLatent, TextToImageSettings
from tests.apps.wire import connected

gradio_client = pytest.importorskip("gradio_client")

SCHEMA = Path(__file__).with_name("endpoints.json")
ASKED = {"prompt": "a red circle", "seeds": [3, 4], "num_steps": 2, "guidance_scale": 2.0}


@pytest.fixture(scope="module")
def client(url):
    client = connected(url)
    yield client
    client.close()


@pytest.fixture(scope="module")
def pipeline(tiny_folder):
    return lab.load(tiny_folder)


@pytest.fixture(scope="module")
def picture_file(tmp_path_factory):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def mask_file(picture_file):
    mask = Image.new("L", (16, 16))
    mask.paste(255, (8, 0, 16, 16))
    mask.save(picture_file.with_name("mask.png"))
    return picture_file.with_name("mask.png")


def pixels_of(gallery):
    """Bytes of the images, and the files."""
    files = [Path(item["image"]) for item in gallery]
    return [Image.open(file).convert("RGB").tobytes() for file in files], files


def expected(run):
    return [image.tobytes() for image in run.images]


def test_text_to_image_is_the_library_s_and_its_files_carry_the_run(client, pipeline):
    gallery, report = client.predict(**ASKED, api_name="/text_to_image")
    run = pipeline.text_to_image(**ASKED)
    pixels, files = pixels_of(gallery)
    assert pixels == expected(run)
    assert report["settings"]["seeds"] == [3, 4]
    assert report["model"]["name"] == "tiny-text"
    assert lab.open_run(files[0]).settings == run.settings


def test_a_drawn_seed_is_told_and_gives_the_picture_again(client):
    gallery, report = client.predict(**ASKED | {"seeds": [-1]}, api_name="/text_to_image")
    again, _ = client.predict(**ASKED | {"seeds": report["settings"]["seeds"]}, api_name="/text_to_image")
    assert pixels_of(gallery)[0] == pixels_of(again)[0]


def test_inpaint_and_image_to_image(client, pipeline, picture_file, mask_file):
    image, mask = map(gradio_client.handle_file, (picture_file, mask_file))
    asked = {"prompt": "a star", "num_steps": 2}
    gallery, report = client.predict(image=image, mask=mask, **asked, api_name="/inpaint")
    assert pixels_of(gallery)[0] == expected(pipeline.inpainting(picture_file, mask_file, **asked))
    assert "known pixels are the input's" in report["notes"][-1]
    assert "image" not in report["settings"]
    gallery, _ = client.predict(image=image, **asked, api_name="/image_to_image")
    assert pixels_of(gallery)[0] == expected(pipeline.image_to_image(picture_file, **asked))


def test_outpaint(client, pipeline, picture_file):
    asked = {"prompt": "a star", "num_steps": 2, "right": 8}
    gallery, _ = client.predict(image=gradio_client.handle_file(picture_file), **asked, api_name="/outpaint")
    assert pixels_of(gallery)[0] == expected(pipeline.outpainting(picture_file, **asked))


def test_layout_to_image(client, layout_folder):
    asked = {"layout": ["circle red 0.1 0.1 0.5 0.5"], "seeds": [3], "num_steps": 2}
    gallery, report = client.predict(**asked, api_name="/layout_to_image")
    assert pixels_of(gallery)[0] == expected(lab.load(layout_folder).run("layout_to_image", **asked))
    assert report["model"]["name"] == "tiny-layout"


def test_super_resolution(client, upscaling_folder, picture_file):
    asked = {"seeds": [3], "num_steps": 2}
    image = gradio_client.handle_file(picture_file)
    gallery, _ = client.predict(image=image, **asked, api_name="/super_resolution")
    run = lab.load(upscaling_folder).super_resolution(picture_file, **asked)
    assert run.images[0].size == (32, 32)
    assert pixels_of(gallery)[0] == expected(run)


def test_semantic_to_image(client, semantic_folder, tmp_path):
    numbers = Image.new("L", (16, 16))
    numbers.paste(3, (4, 4, 12, 12))
    numbers.save(tmp_path / "map.png")
    asked = {"seeds": [3], "num_steps": 2}
    image = gradio_client.handle_file(tmp_path / "map.png")
    gallery, _ = client.predict(map=image, **asked, api_name="/semantic_to_image")
    assert pixels_of(gallery)[0] == expected(lab.load(semantic_folder).semantic_to_image(tmp_path / "map.png", **asked))


def test_encode_and_decode(client, pipeline, picture_file):
    latent = client.predict(image=gradio_client.handle_file(picture_file), api_name="/encode")
    z = pipeline.encode(Image.open(picture_file))
    assert PastedLatent.from_json(latent) == PastedLatent.of(z)
    gallery = client.predict(latent=latent, api_name="/decode")
    assert pixels_of(gallery)[0] == [image.tobytes() for image in pipeline.decode(z)]


def test_grid(client, pipeline):
    asked = {"prompt": "a red circle", "seed": 3, "num_steps": 2}
    axes = {"x_name": "guidance_scale", "x_values": "1, 4", "y_name": "prompt", "y_values": "red, blue"}
    gallery, report = client.predict(**asked, **axes, api_name="/grid")
    settings = TextToImageSettings.of(prompt="a red circle", seeds=[3], num_steps=2)
    across, down = (Axis.read(TextToImageSettings, axes[f"{a}_name"], axes[f"{a}_values"]) for a in "xy")
    cells = [cell for row in cells_of(settings, across, down) for cell in row]
    assert report == {"columns": 2, "rows": 2}
    pixels, files = pixels_of(gallery)
    assert pixels == [pipeline.carry_out(cell).images[0].tobytes() for cell in cells]
    assert lab.open_run(files[3]).settings.prompt == "a blue circle"
    again, _ = client.predict(**asked, **axes, api_name="/grid")
    assert pixels_of(again)[0] == pixels


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("/text_to_image", {"prompt": "x", "num_steps": 0}, "num_steps is 0; it must be from 1 to 1000"),
        ("/text_to_image", {"prompt": "x", "num_steps": 201}, "this page takes at most 200"),
        ("/text_to_image", {"prompt": "x", "model": "y"}, "There is no model 'y' here; choose one of tiny-text"),
        ("/text_to_image", {"prompt": "x" * 1001}, "Prompt has 1001 characters"),
        ("/class_to_image", {"label": "star"}, "needs a model that is conditioned on class labels, and there is none"),
        ("/encode", {}, "There is no picture; upload one as a file"),
        ("/decode", {"latent": {"shape": [1, 2], "numbers": "x"}}, "A pasted latent in a record is damaged"),
        ("/decode", {"latent": {"shape": [1, 1, 1], "numbers": "AAAAAA=="}}, "The latent has 1 channels, those of"),
        ("/grid", {"prompt": "x", "x_name": "colour"}, "'colour' cannot be an axis; choose one of seed"),
        ("/inpaint", {"prompt": "x"}, "needs a value for image, mask"),
    ],
)
def test_mistakes_are_sentences(client, name, values, sentence):
    with pytest.raises(gradio_client.exceptions.AppError) as raised:
        client.predict(**values, api_name=name)
    assert sentence in str(raised.value)


def test_what_is_recorded_of_the_interface_still_holds(client, request):
    """Another name or default breaks other people's programs; write it anew with --update-golden, and say so.

    Parameters may come along, if nobody has to give them.
    """
    info = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    found = {
        name: {
            each["parameter_name"]: {"optional": each["parameter_has_default"], "default": each["parameter_default"]}
            for each in endpoint["parameters"]
        }
        for name, endpoint in info.items()
    }
    if request.config.getoption("--update-golden"):
        SCHEMA.write_text(json.dumps(found, indent=1) + "\n")
    for name, parameters in json.loads(SCHEMA.read_text()).items():
        assert parameters.items() <= found[name].items(), name
        assert all(found[name][added]["optional"] for added in found[name].keys() - parameters.keys()), name

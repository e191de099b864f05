"""``ldm-lab studio --mcp`` where its package is: a language model finds the endpoints as tools, and can call one."""

import io
import json
import re

import pytest
from PIL import Image

import ldm_lab as lab
from apps.studio import Options, serve
from apps.studio.endpoints import TASK_ENDPOINTS
from tests.apps.wire import send

pytest.importorskip("mcp", reason="needs the package mcp: pip install -e '.[app,mcp,metrics,text]'")

ROUTE = "/gradio_api/mcp/"
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def mcp_url(make_models, free_port):
    with serve(make_models(), Options(port=free_port(), mcp=True)) as page:
        yield page.local_url.rstrip("/")


def ask(url, method, **params):
    """One question in the protocol's own words; its result."""
    question = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    answer = send(url, "POST", ROUTE, question, HEADERS)
    assert answer.status == 200, answer.text
    data = next((line[5:] for line in answer.text.splitlines() if line.startswith("data:")), answer.text)
    return json.loads(data)["result"]


def test_the_endpoints_are_tools_with_the_settings_as_parameters(mcp_url):
    tools = {tool["name"]: tool for tool in ask(mcp_url, "tools/list")["tools"]}
    assert tools.keys() == {*TASK_ENDPOINTS, "encode", "decode", "grid"}
    parameters = tools["text_to_image"]["inputSchema"]["properties"]
    assert {"prompt", "seeds", "num_steps", "guidance_scale"} <= parameters.keys()
    assert parameters["num_steps"]["description"] == "Steps of the walk from noise to image."
    assert tools["text_to_image"]["inputSchema"]["required"] == ["prompt"]


def test_a_tool_answers_with_the_address_of_the_library_s_image(mcp_url, tiny_folder):
    asked = {"prompt": "a star", "seeds": [3], "num_steps": 1}
    result = ask(mcp_url, "tools/call", name="text_to_image", arguments=asked)
    assert not result.get("isError"), result
    (path,) = re.findall(rf"'url': '{mcp_url}(.*?)'", result["content"][0]["text"])
    image = Image.open(io.BytesIO(send(mcp_url, "GET", path).content)).convert("RGB")
    assert image.tobytes() == lab.load(tiny_folder).text_to_image(**asked).images[0].tobytes()


@pytest.mark.parametrize(
    "image", ["http://127.0.0.1:1/x.png", "https://192.0.2.1/", "/etc/passwd", "file:///etc/passwd"]
)
def test_a_tool_fetches_no_address_and_reads_no_file(mcp_url, image):
    assert ask(mcp_url, "tools/call", name="encode", arguments={"image": image})["isError"]


def test_it_is_guarded_as_the_page_is(mcp_url):
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        assert send(mcp_url, "POST", ROUTE, b"{}", HEADERS | headers).status == 403

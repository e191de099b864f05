import errno
import json
import os

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldm_lab.checkpoints import read_tensors, write_tensors
from ldm_lab.checkpoints.tensors import MAX_HEADER_BYTES
from ldm_lab.core.errors import CheckpointCorruptError, CheckpointError, CheckpointFormatError

TENSORS = {
    "half": torch.randn(3, 4).half(),
    "bfloat": torch.randn(5).bfloat16(),
    "full": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "transposed": torch.randn(3, 4).T,
    "count": torch.tensor(7),
    "nothing": torch.empty(0, 3),
}


def file_with_header(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_tensors_come_back_as_they_were(tmp_path):
    write_tensors(tmp_path / "x.safetensors", TENSORS)
    found = read_tensors(tmp_path / "x.safetensors")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_the_file_is_plain_safetensors(tmp_path):
    write_tensors(tmp_path / "x.safetensors", TENSORS)
    assert torch.equal(safetensors.torch.load_file(tmp_path / "x.safetensors")["half"], TENSORS["half"])


def test_a_parameter_is_saved_without_its_gradient(tmp_path):
    write_tensors(tmp_path / "x.safetensors", {"w": torch.nn.Parameter(torch.ones(2))})
    assert not read_tensors(tmp_path / "x.safetensors")["w"].requires_grad


def test_every_truncation_is_noticed(tmp_path):
    write_tensors(tmp_path / "x.safetensors", {"a": torch.arange(3.0), "b": torch.arange(2)})
    data = (tmp_path / "x.safetensors").read_bytes()
    for length in range(len(data)):
        (tmp_path / "cut.safetensors").write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
            read_tensors(tmp_path / "cut.safetensors")


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_raises_nothing_but_our_errors(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("flips") / "x.safetensors"
    write_tensors(path, {"a": torch.arange(3.0), "b": torch.arange(2)})
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(bytes(data))
    try:
        found = read_tensors(path)  # flips in the content are the manifest's affair
    except CheckpointError as error:
        assert len(str(error)) <= 500  # noqa: PT017
    else:
        assert len(found) == 2


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b" " * 100, "larger than 10.0 MB"),
        ({"a": {"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]}}, "more than 8 dimensions"),
        ({str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(20_001)}, "20001 tensors"),
        (["a"], "not a mapping"),
        ({"a": 3}, "has no shape"),
    ],
)
def test_what_exceeds_a_limit_is_refused_before_it_is_read(tmp_path, header, message):
    path = tmp_path / "x.safetensors"
    if isinstance(header, bytes):
        path.write_bytes(header)
    else:
        file_with_header(path, header, b"\0" * 4)
    with pytest.raises(CheckpointFormatError, match=message):
        read_tensors(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8"}}', "occurs twice"),
        (b"[" * 100_000, "damaged header"),
        (b"\xff\xfe", "damaged header"),
        ({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, "damaged"),
        ({"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]}}, "damaged"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, "damaged"),
    ],
)
def test_a_header_that_contradicts_itself_is_damaged(tmp_path, header, message):
    with pytest.raises(CheckpointCorruptError, match=message):
        read_tensors(file_with_header(tmp_path / "x.safetensors", header, b"\0" * 4))


def test_a_missing_file_and_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", "pipe"):
        with pytest.raises(CheckpointFormatError, match=f"{name} is missing or not a file"):
            read_tensors(tmp_path / name)


def test_a_full_disk_is_one_sentence_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.ones(3)})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="disk full: need 4.1 kB"):
        write_tensors(path, {"a": torch.zeros(1000)})
    assert torch.equal(read_tensors(path)["a"], torch.ones(3))
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]

"""Files: whole or absent, whatever fails; digests that see every flipped bit; strict JSON."""

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ldm_lab.core import io
from ldm_lab.core.errors import CheckpointCorruptError, CheckpointError, CheckpointFormatError


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "step-00000001"
    with io.atomic_folder(folder) as draft:
        io.write_json(draft / "config.json", {"format": "ldm_lab", "version": 1})
        (draft / "model.safetensors").write_bytes(bytes(range(64)))
        io.write_manifest(draft, about={"torch": "2.11"})
    return folder


# --- atomic writes ---------------------------------------------------------------------------------------------------


def test_write_atomic_replaces_the_old_content(tmp_path):
    path = tmp_path / "latest"
    io.write_atomic(path, b"old, and longer")
    io.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["latest"]


def test_write_atomic_makes_its_folder_or_says_why_not(tmp_path):
    io.write_atomic(tmp_path / "a" / "b" / "x", b"1")
    assert names(tmp_path) == ["a", "a/b", "a/b/x"]
    with pytest.raises(CheckpointError, match=r"cannot write .*/x/y: (File exists|Not a directory)"):
        io.write_atomic(tmp_path / "a" / "b" / "x" / "y", b"1")


def test_a_folder_appears_only_when_its_block_ends(tmp_path):
    target = tmp_path / "runs" / "a"
    with io.atomic_folder(target) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "x").write_text("1")
        assert draft.parent == target.parent
        assert not target.exists()
    assert names(tmp_path / "runs") == ["a", "a/inner", "a/inner/x"]


def test_an_error_in_the_block_leaves_nothing_behind(tmp_path):
    def write_and_fail() -> None:
        with io.atomic_folder(tmp_path / "a") as draft:
            (draft / "x").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert names(tmp_path) == []


def test_an_existing_folder_is_replaced_only_on_request(tmp_path):
    target = tmp_path / "a"
    with io.atomic_folder(target) as draft:
        (draft / "old").touch()
    with pytest.raises(CheckpointError, match=r"/a already exists; choose another"), io.atomic_folder(target):
        pass
    with io.atomic_folder(target, replace=True) as draft:
        (draft / "new").touch()
    assert names(tmp_path) == ["a", "a/new"]


def fail_at(patch: pytest.MonkeyPatch, call: int, code: int) -> None:
    """Make one system call raise: the ``call``-th of all that writing makes."""
    calls = iter(range(1000))

    def shim(original):
        def wrapped(*args, **kwargs):
            if next(calls) == call:
                raise OSError(code, os.strerror(code))
            return original(*args, **kwargs)

        return wrapped

    patch.setattr(io, "open", shim(open), raising=False)
    for name in ("mkdir", "open", "fsync", "replace", "rename"):
        patch.setattr(os, name, shim(getattr(os, name)))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE])
@pytest.mark.parametrize(("call", "content"), list(enumerate([b"old", b"old", b"old", b"new", b"new"], start=1)))
def test_a_failing_system_call_leaves_a_whole_file(tmp_path, call, content, code):
    """The calls: mkdir (0), open, fsync, rename; then open and fsync of the folder, when the new file is in place."""
    path = tmp_path / "latest"
    io.write_atomic(path, b"old")
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, call, code)
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            io.write_atomic(path, b"new")
    assert names(tmp_path) == ["latest"]
    assert path.read_bytes() == content


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE])
@pytest.mark.parametrize("call", range(8))
def test_a_failing_system_call_leaves_no_half_folder(tmp_path, call, code):
    """The calls: mkdir; open and fsync of the file and of the folder; rename (5); open and fsync of the parent."""
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, call, code)
        with (
            pytest.raises(CheckpointError, match=re.escape(str(tmp_path / "a"))),
            io.atomic_folder(tmp_path / "a") as draft,
        ):
            (draft / "x").write_text("1")
    assert names(tmp_path) == ([] if call <= 5 else ["a", "a/x"])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, r"disk full: need 3 bytes, have [\d.]+ \wB at .*/x; free some space"),
        (errno.EROFS, "cannot write .*/x: the file system is read-only"),
        (errno.EACCES, "cannot write .*/x: permission denied"),
        (errno.EIO, "cannot write .*/x: Input/output error"),
    ],
)
def test_each_refusal_has_its_sentence(tmp_path, monkeypatch, code, message):
    fail_at(monkeypatch, 1, code)
    with pytest.raises(CheckpointError, match=message):
        io.write_atomic(tmp_path / "x", b"abc")


def run_child(script: str, *args: object, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-c", script, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


KILLED_WHILE_WRITING = """
import os, signal, sys
from ldm_lab.core import io
os.replace = os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "file":
    io.write_atomic(sys.argv[1] + "/latest", b"new")
else:
    with io.atomic_folder(sys.argv[1] + "/step-2") as draft:
        (draft / "x").write_text("1")
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a POSIX signal")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_kill_9_leaves_the_old_state_and_a_leftover_that_is_found(tmp_path, kind):
    io.write_atomic(tmp_path / "latest", b"old")
    assert run_child(KILLED_WHILE_WRITING, tmp_path, kind).returncode == -signal.SIGKILL
    assert (tmp_path / "latest").read_bytes() == b"old"
    assert not (tmp_path / "step-2").exists()
    assert len(io.remove_leftovers(tmp_path)) == 1
    assert names(tmp_path) == ["latest"]


FULL_DISK = """
import subprocess, sys
from pathlib import Path
from ldm_lab.core import io
from ldm_lab.core.errors import CheckpointError
root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", root], check=True)
io.write_atomic(root / "model", b"old")
for write in (lambda: io.write_atomic(root / "model", bytes(5_000_000)), lambda: fill(root / "step")):
    try:
        write()
    except CheckpointError as error:
        print(error)
assert (root / "model").read_bytes() == b"old"
assert [path.name for path in root.iterdir()] == ["model"], list(root.iterdir())
"""
FILL = """
def fill(path):
    from ldm_lab.core import io
    with io.atomic_folder(path) as draft:
        (draft / "a").write_bytes(bytes(5_000_000))
"""


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs unshare and user namespaces to mount a small disk")
def test_a_disk_that_is_really_full(tmp_path):
    child = run_child(FILL + FULL_DISK, tmp_path, prefix=("unshare", "-rm"))
    assert child.returncode == 0, child.stderr
    first, second = child.stdout.splitlines()
    assert re.fullmatch(rf"disk full: need 5.0 MB, have 4.\d MB at {tmp_path}/model; free some .*", first)
    assert re.fullmatch(rf"disk full: more room is needed, have .* at {tmp_path}/step; free some .*", second)


# --- manifests -------------------------------------------------------------------------------------------------------


def test_a_whole_folder_verifies(checkpoint):
    manifest = io.verify_manifest(checkpoint)
    assert manifest["about"] == {"torch": "2.11"}
    assert manifest["files"]["model.safetensors"]["size"] == 64
    assert sorted(manifest["files"]) == ["config.json", "model.safetensors"]


def test_the_digest_is_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")  # the example of FIPS 180-4
    assert io.sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "manifest.json"])
def test_every_flipped_bit_is_seen(checkpoint, name):
    path = checkpoint / name
    whole = path.read_bytes()
    bits = random.Random(0).sample(range(8 * len(whole)), k=min(400, 8 * len(whole)))
    for bit in bits:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CheckpointCorruptError, match=re.escape(name)):
            io.verify_manifest(checkpoint)
    path.write_bytes(whole)
    io.verify_manifest(checkpoint)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "manifest.json"])
def test_every_truncation_is_seen(checkpoint, name):
    path = checkpoint / name
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # without its final line feed a manifest is still whole
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointCorruptError, match=re.escape(name)):
            io.verify_manifest(checkpoint)


def test_the_sentence_names_file_reason_and_remedy(checkpoint):
    (checkpoint / "model.safetensors").write_bytes(b"short")
    with pytest.raises(
        CheckpointCorruptError, match=r"model.safetensors has 5 bytes instead of 64; restore the folder"
    ):
        io.verify_manifest(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(CheckpointCorruptError, match=r"model.safetensors is missing; restore the folder"):
        io.verify_manifest(checkpoint)
    (checkpoint / "manifest.json").unlink()
    with pytest.raises(CheckpointCorruptError, match=r"manifest.json is missing or not a file; restore the folder"):
        io.verify_manifest(checkpoint)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret", "a\\b", "", "a//b", "sp ace"])
def test_a_manifest_cannot_name_files_outside(checkpoint, name):
    content = {"about": {}, "files": {name: {"size": 0, "sha256": ""}}}
    io.write_json(checkpoint / "manifest.json", content | {"digest": io._digest(content)})
    with pytest.raises(CheckpointCorruptError, match="manifest.json names files outside its folder"):
        io.verify_manifest(checkpoint)


def test_a_link_that_leaves_the_folder_is_refused(checkpoint):
    path = checkpoint / "model.safetensors"
    path.rename(checkpoint.parent / "elsewhere")
    path.symlink_to(checkpoint.parent / "elsewhere")
    with pytest.raises(CheckpointCorruptError, match="model.safetensors is a link that leaves its folder"):
        io.verify_manifest(checkpoint)


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_json_comes_back(tmp_path):
    value = {"a": [1, 2.5, None, True], "b": {"c": "é 🙂"}}
    io.write_json(tmp_path / "x.json", value)
    assert io.read_json(tmp_path / "x.json") == value


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="nan"):
        io.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "x.json is not valid JSON: the key 'c' occurs twice"),
        (b'{"a": NaN}', "NaN is not a number that JSON knows"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b'{"a": ', "x.json is not valid JSON: Expecting value"),
        (b"", "x.json is not valid JSON"),
        (b'"\xff"', "x.json is not valid JSON: .*decode"),
        (b"[" * 100_000, "x.json is not valid JSON: it is nested too deeply"),
        (b"9" * 5000, "x.json is not valid JSON: Exceeds the limit"),
        (b" " * 1_000_001, "x.json is larger than 1.0 MB, the limit for JSON"),
    ],
)
def test_json_that_is_not_strict_is_refused(tmp_path, text, message):
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(CheckpointFormatError, match=message):
        io.read_json(tmp_path / "x.json")


def test_who_expects_more_may_read_more(tmp_path):
    (tmp_path / "x.json").write_bytes(b" " * 1_000_001 + b"7")
    assert io.read_json(tmp_path / "x.json", max_bytes=1_000_002) == 7
    with pytest.raises(CheckpointFormatError, match="larger than 1.0 MB, the limit for JSON"):
        io.read_json(tmp_path / "x.json", max_bytes=1_000_001)


def test_missing_json_and_folders_are_named(tmp_path):
    with pytest.raises(CheckpointFormatError, match=r"/x.json is missing or not a file"):
        io.read_json(tmp_path / "x.json")
    with pytest.raises(CheckpointFormatError, match=r"is missing or not a file"):
        io.read_json(tmp_path)


def test_parse_json_agrees_with_the_standard_library_on_good_text():
    text = '{"z": [1e3, -2, "\\u00e9"], "a": {}}'
    assert io.parse_json(text, source="text") == json.loads(text)


@pytest.mark.parametrize(
    ("count", "spelled"), [(0, "0 bytes"), (999, "999 bytes"), (12_300_000, "12.3 MB"), (2_000_000_000, "2.0 GB")]
)
def test_sizes_are_spelled(count, spelled):
    assert io.format_bytes(count) == spelled

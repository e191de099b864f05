import hashlib
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from ldm_lab.core.errors import MissingDependencyError
from ldm_lab.data.emoji_files import PACKAGES, EmojiFiles, find_emoji_files


def test_a_folder_holds_the_four_files_under_their_own_names(emoji_folder):
    files = find_emoji_files(emoji_folder)
    assert files.font == emoji_folder / "NotoColorEmoji.ttf"
    assert files.names == emoji_folder / "emoji-test.txt"
    assert files.keywords == emoji_folder / "annotations" / "en.xml"
    assert files.derived_keywords == emoji_folder / "annotationsDerived" / "en.xml"


def test_a_folder_in_the_environment_is_found_and_one_given_counts_more(emoji_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LDM_LAB_EMOJI", str(emoji_folder))
    assert find_emoji_files() == find_emoji_files(emoji_folder)
    with pytest.raises(MissingDependencyError, match=str(tmp_path)):
        find_emoji_files(tmp_path)


def test_without_either_the_places_of_debian_count(monkeypatch):
    monkeypatch.delenv("LDM_LAB_EMOJI", raising=False)
    monkeypatch.setattr(EmojiFiles, "missing", lambda self: {})
    files = find_emoji_files()
    assert files == EmojiFiles()
    assert str(files.font) == "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"


def test_a_missing_file_is_named_with_its_package_and_what_else_can_be_done(emoji_folder, tmp_path):
    for name in ("emoji-test.txt", "annotations/en.xml", "annotationsDerived/en.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((emoji_folder / name).read_bytes())
    expected = (
        f"the emoji need {tmp_path / 'NotoColorEmoji.ttf'}, which cannot be found; install Debian's packages with "
        "'apt-get install fonts-noto-color-emoji', or name a folder that holds the files, as the path of the data or "
        "in the environment variable LDM_LAB_EMOJI"
    )
    with pytest.raises(MissingDependencyError) as caught:
        find_emoji_files(tmp_path)
    assert str(caught.value) == expected


def test_all_missing_files_are_named_at_once(tmp_path):
    with pytest.raises(MissingDependencyError) as caught:
        find_emoji_files(tmp_path / "nowhere")
    message = str(caught.value)
    assert "apt-get install fonts-noto-color-emoji unicode-cldr-core unicode-data'" in message
    for path in ("NotoColorEmoji.ttf", "emoji-test.txt", "annotations/en.xml", "annotationsDerived/en.xml"):
        assert str(tmp_path / "nowhere" / path) in message


def test_every_file_has_a_package():
    assert set(PACKAGES) == {field.name for field in fields(EmojiFiles)}


def test_digests_are_those_of_the_content(emoji_folder):
    digests = find_emoji_files(emoji_folder).digests()
    assert set(digests) == set(PACKAGES)
    assert digests["font"] == hashlib.sha256(b"no font").hexdigest()


def test_importing_opens_no_font_and_no_list():
    """An audit hook sees every file that Python opens; Pillow's one way to open a font is made to fail."""
    script = """
import sys
from PIL import ImageFont
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
ImageFont.truetype = None
import ldm_lab.data, ldm_lab.data.source, ldm_lab.data.emoji
lists = [name for name in opened if name.endswith((".ttf", "emoji-test.txt", "en.xml"))]
print(lists, any("emoji.py" in name for name in opened))
"""
    assert subprocess.check_output([sys.executable, "-B", "-c", script], text=True).split() == ["[]", "True"]


def test_the_package_knows_no_other_place():
    """Nothing is downloaded: no file of the emoji names an address."""
    folder = Path(sys.modules[find_emoji_files.__module__].__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in folder.glob("emoji*.py")]
    assert len(sources) >= 8
    assert not [text for text in sources if "http" in text or "urllib" in text]

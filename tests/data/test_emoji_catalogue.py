import itertools

import pytest

from ldm_lab.core.errors import DataError
from ldm_lab.data import emoji_catalogue
from ldm_lab.data.emoji_catalogue import open_catalogue
from ldm_lab.data.emoji_composition import held_out_names
from ldm_lab.data.emoji_files import find_emoji_files


def names(drawings):
    return {drawing.emoji.name for drawing in drawings}


def test_what_the_font_does_not_draw_is_left_out_and_kept_on_record(tiny_catalogue):
    assert [emoji.name for emoji in tiny_catalogue.left_out] == ["shaking face"]
    assert len(tiny_catalogue.drawings) == 90
    assert "shaking face" not in names(tiny_catalogue.drawings)
    assert "face-neutral-skeptical" not in tiny_catalogue.subgroups


def test_each_emoji_has_its_own_picture(tiny_catalogue, draw):
    for drawing in tiny_catalogue.drawings:
        assert drawing.picture.tobytes() == draw(drawing.emoji.sequence).tobytes()


def test_subgroups_keep_the_order_of_the_list(tiny_catalogue):
    assert tiny_catalogue.subgroups[:4] == ("face-smiling", "face-sleepy", "cat-face", "heart")
    assert tiny_catalogue.subgroups[-1] == "country-flag"


def test_training_and_held_out_drawings_are_all_and_share_none(tiny_catalogue):
    train, held_out, everything = (names(tiny_catalogue.of_split(name)) for name in ("train", "held-out", "all"))
    assert train | held_out == everything == names(tiny_catalogue.drawings)
    assert train & held_out == set()
    assert held_out == set(tiny_catalogue.held_out)
    assert {"cat with tears of joy", "down-left arrow"} < held_out


def test_a_picture_that_training_sees_under_another_name_is_not_held_out(tiny_catalogue):
    """The stand-in draws snowboarders alike in all skin tones, as Noto does."""
    chosen = held_out_names([drawing.emoji for drawing in tiny_catalogue.drawings])
    assert {name for name in chosen if "snowboarder" in name}
    assert tiny_catalogue.held_out == {name for name in chosen if "snowboarder" not in name}
    held_out = {drawing.picture.tobytes() for drawing in tiny_catalogue.of_split("held-out")}
    assert not held_out & {drawing.picture.tobytes() for drawing in tiny_catalogue.of_split("train")}


def test_neighbours_are_of_different_subgroups(tiny_catalogue):
    """In the order of the list, where one subgroup holds 54 drawings, 80 of 89 neighbours would share it."""
    groups = [drawing.emoji.subgroup for drawing in tiny_catalogue.drawings]
    assert sum(first == second for first, second in itertools.pairwise(groups)) < 50


def test_files_are_opened_once_until_they_change(emoji_folder, tmp_path, draw):
    for name in ("NotoColorEmoji.ttf", "emoji-test.txt", "annotations/en.xml", "annotationsDerived/en.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((emoji_folder / name).read_bytes())
    files = find_emoji_files(tmp_path)
    first = open_catalogue(files, draw)
    assert open_catalogue(files, draw) is first
    assert first.digests == files.digests()
    files.font.write_bytes(b"another font")
    again = open_catalogue(files, draw)
    assert again is not first
    assert again.digests["font"] != first.digests["font"]


def test_a_font_without_emoji_is_refused(emoji_folder):
    with pytest.raises(DataError, match="NotoColorEmoji.ttf draws none of the 91 emoji in .*emoji-test.txt; give the"):
        open_catalogue(find_emoji_files(emoji_folder), lambda sequence: None)


def test_without_another_drawer_the_font_draws(emoji_folder, draw, monkeypatch):
    paths = []
    monkeypatch.setattr(emoji_catalogue, "EmojiFont", lambda path: paths.append(path) or draw)
    assert len(open_catalogue(find_emoji_files(emoji_folder)).drawings) == 90
    assert paths == [emoji_folder / "NotoColorEmoji.ttf"]

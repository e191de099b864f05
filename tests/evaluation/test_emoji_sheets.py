import pytest

from ldm_lab.data.emoji import EmojiDrawings
from ldm_lab.data.emoji_names import Emoji
from ldm_lab.evaluation import emoji_sheets as sheets
from ldm_lab.tasks import Pipeline


@pytest.fixture
def cells(monkeypatch):
    """What the sheets are made of."""
    found = []

    def sheet(cells, *, columns):
        found.append((cells, columns))

    monkeypatch.setattr(sheets, "_sheet", sheet)
    return found


@pytest.fixture
def source(tiny_catalogue):
    return EmojiDrawings(split="all", catalogue=tiny_catalogue, size=16)


def test_both_sheets(tiny_model, stand_in_emoji):
    made = sheets.emoji_sheets(Pipeline(tiny_model), num_steps=1)
    assert set(made) == {"sheet-inpainting.png", "sheet-interpolation.png"}
    assert made["sheet-inpainting.png"].width > 5 * 128
    assert made["sheet-interpolation.png"].width > 7 * 128


def test_halves_are_filled_and_the_rest_stays(tiny_model, source, cells):
    sheets.inpainting_sheet(Pipeline(tiny_model), source, num_steps=1)
    ((row, columns),) = cells
    assert (len(row), columns) == (30, 5)
    for number in range(sheets.INPAINTED):
        (picture, name), (hidden, _), *filled = row[5 * number : 5 * number + 5]
        assert name == source.emoji([number])[0].name
        assert hidden.getpixel((15, 15)) == (128, 128, 128)
        kept = (0, 0, 16, 8) if number % 2 else (0, 0, 8, 16)
        for image in (hidden, *(image for image, _ in filled)):
            assert image.crop(kept).tobytes() == picture.crop(kept).tobytes()
        assert filled[0][0].tobytes() != filled[1][0].tobytes()


def test_frames_stand_above_the_nearest_drawings(tiny_model, source, cells):
    sheets.interpolation_sheet(Pipeline(tiny_model), sheets.Gallery(source), num_steps=1)
    ((row, columns),) = cells
    assert columns == 7
    assert len(row) % 14 == 0
    assert [words for _, words in row[:7]].count("") == 5
    assert all(words.startswith("nearest trained: ") for _, words in row[7:14])


def test_ways_join_the_first_two_of_a_group():
    emoji = [Emoji("", name, group, "") for name, group in [("a", "1"), ("b", "2"), ("c", "1"), ("d", "1"), ("e", "3")]]
    assert [(first.name, last.name) for first, last in sheets.ways(emoji)] == [("a", "c")]

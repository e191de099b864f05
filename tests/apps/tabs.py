"""What tests of tabs need in the place of a browser: a visitor, and where they click."""

from types import SimpleNamespace

VISITOR = SimpleNamespace(session_hash="somebody")


def chosen(place):
    """A click: a point of a picture, or the number of one in a gallery."""
    return SimpleNamespace(index=place)


def pixels_of(run):
    return [image.tobytes() for image in run.images]

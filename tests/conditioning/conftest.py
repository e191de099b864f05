import pytest

from ldm_lab.conditioning import train_tokenizer

CAPTIONS = [
    "a large red circle left of a small blue star on white",
    "a green square above a yellow triangle, on black",
    "Two shapes: a purple pentagon!",
]


@pytest.fixture(scope="session")
def tokenizer():
    """A tokenizer that knows the words of three captions."""
    return train_tokenizer(CAPTIONS)

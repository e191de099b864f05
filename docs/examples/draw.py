"""Pictures to try every task on, from scenes that no training has seen: ``python -m docs.examples.draw``."""

from pathlib import Path

from PIL import Image

from ldm_lab.core.images import to_pil
from ldm_lab.data.degradations import bicubic
from ldm_lab.data.scenes import COLORS, semantic_map
from ldm_lab.data.shape_scenes import ShapeScenes

HERE = Path(__file__).parent
NUMBER = 8
WIDE = (3, NUMBER, 13)  # scenes side by side in the large map
HOLE = (32, 0, 64, 64)
GREY = (230, 230, 230)


def main() -> None:
    """Write them beside this file."""
    scenes = ShapeScenes(split="test")
    x = scenes.images([NUMBER])
    mask = Image.new("L", (64, 64))
    mask.paste(255, HOLE)
    pictures = {
        "scene": to_pil(x)[0],
        "small": to_pil(bicubic(x))[0],
        "mask": mask,
        "map": _class_map(scenes, [NUMBER]),
        "wide-map": _class_map(scenes, WIDE),
    }
    for name, picture in pictures.items():
        picture.save(HERE / f"{name}.png", optimize=True)


def _class_map(scenes: ShapeScenes, numbers: tuple[int, ...] | list[int]) -> Image.Image:
    """Scenes side by side as numbers of classes, with a palette to look at."""
    numbers_of_pixels = semantic_map(scenes.scenes(numbers)).byte().numpy()
    picture = Image.fromarray(numbers_of_pixels.swapaxes(0, 1).reshape(64, -1))
    picture.putpalette([*GREY, *(value for color in COLORS.values() for value in color)])
    return picture


if __name__ == "__main__":
    main()

"""A cold start with diffusers: python -m benchmarks.cold_theirs FOLDER SIZE"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.memory import peak_mb
from benchmarks.peer import TextToImage

folder, size = Path(sys.argv[1]), int(sys.argv[2])
pipeline = TextToImage.from_pretrained(folder)
settings = {"seeds": (0,), "num_steps": 20, "guidance_scale": 4.0}
images = pipeline("a red circle on a white background", image_size=size, **settings)
with TemporaryDirectory() as temporary:
    images[0].save(Path(temporary) / "image.png")
print(json.dumps({"peak_mb": peak_mb()}))

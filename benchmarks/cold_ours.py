"""A cold start with ldm_lab: python -m benchmarks.cold_ours FOLDER SIZE"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import ldm_lab as lab
from benchmarks.memory import peak_mb

folder, size = sys.argv[1], int(sys.argv[2])
pipeline = lab.load(folder, device="cpu")
settings = {"seeds": (0,), "num_steps": 20, "guidance_scale": 4.0, "width": size, "height": size}
run = pipeline.text_to_image("a red circle on a white background", **settings)
with TemporaryDirectory() as temporary:
    run.images[0].save(Path(temporary) / "image.png")
print(json.dumps({"peak_mb": peak_mb()}))

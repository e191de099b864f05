"""The web studio: text to image, inpainting, latents, compression and grids for a whole class at once.

``launch`` serves it until Ctrl-C, as ``ldm-lab studio`` does, ``serve`` as long as a block lasts.
"""

from apps.studio.launch import Options, launch, serve
from apps.studio.models import Models

__all__ = ["Models", "Options", "launch", "serve"]

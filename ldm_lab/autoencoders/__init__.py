"""The first stage: between images and latents."""

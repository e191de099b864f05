"""Errors, configs, images, seeds, files and devices: what every room needs and none of it knows diffusion."""

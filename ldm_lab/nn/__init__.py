"""Blocks that the first stage and the UNet share."""

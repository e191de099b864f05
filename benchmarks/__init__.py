"""ldm_lab timed against diffusers: same machine, same run, same weights."""

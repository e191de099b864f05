"""The built-in world of scenes with its captions, and folders of the user's own pictures."""

"""How events of the page reach Python: those that use a model stand in one line, all others do not wait."""

from typing import Any

# One id for all of them: Gradio would otherwise have a queue for each event, and compute with two models at once.
MODEL_EVENT: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
QUICK_EVENT: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
ENDPOINT: dict[str, Any] = {**MODEL_EVENT, "api_visibility": "public"}

"""Pages for the browser: they edit settings and show runs, and compute nothing themselves.

Gradio asks other hosts for its version and counts its users, unless it is told not to before it is imported; nothing
here leaves the machine, so that is done first. Nor does it keep a table of everybody's requests, which it would sum up
again at each of them.
"""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

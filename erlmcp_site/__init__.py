"""The Django project: settings, transports, methods, the pipeline, the admin."""

import gc

VERSION = "0.1.0"
"""That of the package (pyproject.toml)."""

USUAL_THRESHOLDS = gc.get_threshold()

# what a start imports stays: to look through it for garbage again and again, while it grows, is a tenth of a start
gc.set_threshold(100_000)

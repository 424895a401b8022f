"""The Django project: settings, transports, methods, the pipeline, the admin."""

VERSION = "0.1.0"
"""That of the package (pyproject.toml)."""

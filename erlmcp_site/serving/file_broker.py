"""Celery's broker where there is no Redis: files below VAR_DIR."""

import shutil
from pathlib import Path

URL = "filesystem://localhost/"
TRANSPORT = "erlmcp_site.serving.file_transport:Transport"


def broker_options(folder: Path) -> dict[str, object]:
    """Celery's transport options for a broker in this folder."""
    queue, control = str(folder / "queue"), str(folder / "control")
    return {"data_folder_in": queue, "data_folder_out": queue, "control_folder": control}


def prepare_broker(folder: Path) -> None:
    """Make the folders that the broker needs."""
    for name in ("queue", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)


def empty_broker(folder: Path) -> None:
    """Drop the messages: they are beat's ticks, of which there are new ones every second, and a kill may cut a file."""
    for name in ("queue", "control"):
        shutil.rmtree(folder / name, ignore_errors=True)
    prepare_broker(folder)

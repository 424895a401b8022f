"""A program: one that moves entries and signs the trail, over and over, until none waits but those of checkpoints.

`python -m tests.audit.busy_signers <file>` has the second place in that file and the key next to it.
"""

import sys
from pathlib import Path

import django
from django.conf import settings

django.setup()

from audit_app.chain.checkpoints import ACTION, sign_trail  # noqa: E402  # needs Django to be set up
from audit_app.models import OutboxEntry  # noqa: E402
from audit_app.mover import move_batch  # noqa: E402
from audit_app.writer import writer  # noqa: E402

settings.AUDIT_CHECKPOINT_FILE = Path(sys.argv[1])
settings.AUDIT_SIGNING_KEY_FILE = settings.AUDIT_CHECKPOINT_FILE.with_name("audit_signing_key")
while OutboxEntry.objects.exclude(entry__contains=ACTION).exists():
    move_batch()
    sign_trail()
writer.close()

"""Names, titles and labels are one line that shows what it says."""

import pytest
from rest_framework.exceptions import ValidationError

from resources_app.serializers import LineField


@pytest.mark.parametrize("sign", ["\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u2066"])
def test_what_forges_a_line_or_turns_it_around_is_refused(sign: str) -> None:
    with pytest.raises(ValidationError):
        LineField().run_validation(f"invoice{sign}fdp.exe")


@pytest.mark.parametrize("line", ["caf\u00e9", "cafe\u0301", "\u05d0\u05d1", "\U0001f468\u200d\U0001f469", "a \u00a0b"])
def test_every_script_and_normal_form_is_kept_as_it_came(line: str) -> None:
    assert LineField().run_validation(line) == line

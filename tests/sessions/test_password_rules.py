"""Which passwords are taken, and that they are checked as they were sent."""

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from sessions_app.serializers import LoginParams


@pytest.mark.parametrize("password", ["a7$kQ2z", "password1", "qwertyuiop", "alexandria", "Alexandria1"])
def test_a_password_that_is_short_common_or_ones_own_name_is_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, User(username="alexandria"))


@pytest.mark.parametrize("password", ["x y" * 21 + "z", "only lower case letters", "пароль из многих слов", "🐢🐇" * 4])
def test_a_long_password_of_any_characters_is_taken(password: str) -> None:
    validate_password(password, User(username="alexandria"))


@pytest.mark.parametrize("password", [" leading and trailing ", "Case", "x" * 1024])
def test_a_password_is_checked_as_it_was_sent(password: str) -> None:
    assert LoginParams().run_validation({"username": "alice", "password": password})["password"] == password

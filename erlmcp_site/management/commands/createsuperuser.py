"""`manage.py createsuperuser`: Django's, whose user is saved by the writer."""

from functools import partial
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User, UserManager

from audit_app.writer import writer
from erlmcp_site.admin.differences import all_differences
from erlmcp_site.management.account import check_database, entry_of
from erlmcp_site.management.writing import written
from sessions_app.accounts import ChangeAccount


class Superusers(UserManager[User]):
    """Django's users, made by the writer."""

    def __init__(self) -> None:
        super().__init__()
        self.model = User

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **fields: Any
    ) -> User:
        user = User(
            username=User.normalize_username(username),
            email=self.normalize_email(email),
            password=make_password(password),
            is_staff=True,
            is_superuser=True,
            **fields,
        )
        details = {"change": "added", "name": str(user), "changes": all_differences(None, user)}
        entry = entry_of("access/user", "user", str(user))
        writer.run(ChangeAccount(write=partial(user.save, force_insert=True), entry=entry, details=details))
        return user


class Users:
    """Django's model of users, with that manager: how the command asks for a user to be made."""

    _default_manager = Superusers()

    def __getattr__(self, name: str) -> Any:
        return getattr(User, name)

    def __call__(self, **fields: Any) -> User:
        return User(**fields)


class Command(createsuperuser.Command):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.UserModel = Users()  # type: ignore[assignment]

    def handle(self, *args: Any, **options: Any) -> str | None:
        check_database(options["database"])
        with written():
            told: str | None = super().handle(*args, **options)
            return told

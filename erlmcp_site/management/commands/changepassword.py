"""`manage.py changepassword`: Django's, saved by the writer; the logins of the old password end."""

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from erlmcp_site.admin.passwords import save_password
from erlmcp_site.management.account import check_database, entry_of
from erlmcp_site.management.writing import written

TRIES = 3


class Command(changepassword.Command):
    help = "Change a user's password; every login that the old one has made ends."

    def handle(self, *args: Any, **options: Any) -> str:
        check_database(options["database"])
        name = options["username"] or getpass.getuser()
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"user '{name}' does not exist")
        self.stdout.write(f"Changing password for user '{user}'")
        user.set_password(self._ask(user))
        with written():
            save_password(user, entry_of)
        return f"Password changed successfully for user '{user}'"

    def _ask(self, user: User) -> str:
        for _ in range(TRIES):
            password = self._asked("Password: ")
            if password != self._asked("Password (again): "):
                self.stdout.write("Passwords do not match. Please try again.")
                continue
            try:
                validate_password(password, user)
            except ValidationError as error:
                self.stderr.write("\n".join(error.messages))
            else:
                return password
        raise CommandError(f"Aborting password change for user '{user}' after {TRIES} attempts")

    @staticmethod
    def _asked(prompt: str) -> str:
        answer = getpass.getpass(prompt)
        if not answer:
            raise CommandError("aborted")
        return answer

"""`manage.py factor`: second factors, for when nobody can log in to withdraw one."""

from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit_app.writer import writer
from erlmcp_site.management.account import entry_of
from erlmcp_site.management.writing import written
from sessions_app.factors.checking import WITHDRAW
from sessions_app.factors.store import WithdrawFactor
from sessions_app.models import SecondFactor


class Command(BaseCommand):
    help = "List who has a second factor, or withdraw that of somebody who has lost device and recovery codes."

    def add_arguments(self, parser: CommandParser) -> None:
        subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        subcommands.add_parser("list", help="print each user with a second factor")
        withdraw = subcommands.add_parser("withdraw", help="take a user's second factor away")
        withdraw.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        with written():
            if options["subcommand"] == "withdraw":
                self._withdraw(options["username"])
            else:
                self._list()

    def _list(self) -> None:
        for factor in SecondFactor.objects.select_related("user").order_by("user__username"):
            left = len(orjson.loads(factor.recovery))
            self.stdout.write(f"{factor.user}  enrolled {factor.enrolled_at:%Y-%m-%d %H:%M:%S}  recovery codes {left}")

    def _withdraw(self, username: str) -> None:
        factor = SecondFactor.objects.filter(user__username=username).first()
        if factor is None:
            raise CommandError(f"{username} has no second factor")
        entry = entry_of(WITHDRAW, "user", username)
        why = "withdrawn by an operator"
        writer.run(WithdrawFactor(factor=factor.pk, user_id=str(factor.user_id), why=why, entry=entry))
        self.stdout.write(f"{username} has no second factor any more")

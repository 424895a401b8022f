"""How nodes of tests hash passwords."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class QuickHasher(PBKDF2PasswordHasher):
    """The product's, with a thousandth of its rounds: hundreds of logins took a third of a second each."""

    iterations = PBKDF2PasswordHasher.iterations // 1000

"""Key pairs for tests in this process: nearly each makes a signing key, which takes a twentieth of a second."""

import itertools
import threading

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

DIFFERENT = 16
"""So many are made, more than any test looks at, and given in turn."""

_turns = itertools.count()
_making = threading.Lock()
_made: list[RSAPrivateKey] = []


def take_key_pair(*, public_exponent: int, key_size: int) -> RSAPrivateKey:
    """What `generate_private_key` returns; the same again after fifteen others. All are asked for the same size."""
    with _making:
        turn = next(_turns) % DIFFERENT
        if turn == len(_made):
            _made.append(generate_private_key(public_exponent=public_exponent, key_size=key_size))
        pair = _made[turn]
    assert pair.key_size == key_size
    return pair

"""The provider `pkcs11`: key-encryption keys in a hardware security module, or in SoftHSM2, which it is tested with.

Keys are AES-256, sensitive and not extractable. The module has to take CKM_AES_GCM with a nonce of the caller's.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pkcs11
from django.conf import settings
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass, Session, exceptions
from uuid_utils import uuid7

from encryption_app.envelope import NONCE_BYTES, TAG_BYTES, Tampered
from encryption_app.errors import BadProvider, KeyServiceAway, KeyUnknown
from encryption_app.providers.interface import Provider

KEY_BITS = 256

WRONG_PIN = (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLocked, exceptions.PinLenRange)


class Pkcs11(Provider):
    """A token of a module. One session, which callers take in turns; it is opened again after a failure."""

    def __init__(self, module: str, token: str, pin: str) -> None:
        if not (module and token and pin):
            raise BadProvider("pkcs11 needs PKCS11_MODULE, PKCS11_TOKEN_LABEL and PKCS11_PIN")
        self._module, self._token, self._pin = module, token, pin
        self._turn = threading.Lock()
        self._session: Session | None = None

    @classmethod
    def by_settings(cls) -> Self:
        return cls(settings.PKCS11_MODULE, settings.PKCS11_TOKEN_LABEL, settings.PKCS11_PIN)

    def create(self) -> str:
        id = f"erlmcp-{uuid7()}"
        with self._open() as session:
            session.generate_key(
                KeyType.AES,
                KEY_BITS,
                label=id,
                store=True,
                template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )
        return id

    def wrap(self, key_id: str, key: bytes, context: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        with self._open() as session:
            return nonce + _encrypt(_key(session, key_id), nonce, key, context)

    def unwrap(self, key_id: str, wrapped: bytes, context: str) -> bytes:
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        with self._open() as session:
            key = _key(session, key_id)
            try:
                opened: bytes = key.decrypt(
                    sealed, mechanism=Mechanism.AES_GCM, mechanism_param=_params(nonce, context)
                )
            except exceptions.PKCS11Error:
                # modules name a wrong tag as they like; one that still encrypts is not at fault
                _encrypt(key, os.urandom(NONCE_BYTES), b"", context)
                raise Tampered() from None
            return opened

    def destroy(self, key_id: str) -> None:
        with self._open() as session:
            try:
                _key(session, key_id).destroy()
            except KeyUnknown:
                return

    @contextmanager
    def _open(self) -> Iterator[Session]:
        with self._turn:
            try:
                if self._session is None:
                    self._session = self._log_in()
                yield self._session
            except WRONG_PIN as error:
                self._close()
                raise BadProvider(f"the token {self._token} does not take the PIN") from error
            except exceptions.PKCS11Error as error:
                self._close()
                raise KeyServiceAway(f"the token {self._token} fails: {error or type(error).__name__}") from error

    def _log_in(self) -> Session:
        try:
            token = pkcs11.lib(self._module).get_token(token_label=self._token)
        except RuntimeError as error:
            raise KeyServiceAway(f"there is no token {self._token} in {self._module}: {error}") from error
        try:
            return token.open(rw=True, user_pin=self._pin)
        except exceptions.UserAlreadyLoggedIn:
            # a login is the whole process's
            return token.open(rw=True)

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except exceptions.PKCS11Error:
                return


def _key(session: Session, key_id: str) -> Any:
    """A key that can encrypt and decrypt, which the library's types do not say."""
    try:
        return session.get_key(object_class=ObjectClass.SECRET_KEY, label=key_id)
    except exceptions.NoSuchKey:
        raise KeyUnknown(f"the token has no key {key_id}") from None


def _encrypt(key: Any, nonce: bytes, content: bytes, context: str) -> bytes:
    sealed: bytes = key.encrypt(content, mechanism=Mechanism.AES_GCM, mechanism_param=_params(nonce, context))
    return sealed


def _params(nonce: bytes, context: str) -> GCMParams:
    return GCMParams(nonce, context.encode(), TAG_BYTES * 8)

"""The provider `aws`: key-encryption keys in AWS Key Management Service, found and paid as the AWS account says.

boto3 takes region, credentials and endpoint from where it always does (AWS_REGION, AWS_ENDPOINT_URL_KMS, …).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from encryption_app.envelope import Tampered
from encryption_app.errors import BadProvider, KeyServiceAway, KeyUnknown
from encryption_app.providers.interface import Provider

TIMEOUT_SECONDS = 1.5
DELETION_DAYS = 7
"""AWS keeps a key at least so long before it destroys it; until then an administrator can bring it back."""

TAMPERED = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
FOREIGN = "The ciphertext refers to"
"""What stands in the message with which AWS denies access for what another key has made."""

UNKNOWN = frozenset({"NotFoundException", "DisabledException", "KMSInvalidStateException", "InvalidArnException"})
FORBIDDEN = frozenset(
    {"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException"}
)


class AwsKms(Provider):
    """Symmetric keys, each made for this. What is bound into a data key goes there as a hash, so AWS logs no URI."""

    def __init__(self) -> None:
        config = Config(
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        try:
            self._kms = boto3.client("kms", config=config)
        except NoRegionError as error:
            raise BadProvider("aws needs AWS_DEFAULT_REGION, or a region in the AWS configuration") from error

    @classmethod
    def by_settings(cls) -> Self:
        return cls()

    def create(self) -> str:
        with _told():
            made = self._kms.create_key(Description="erlmcp: wraps data keys", KeySpec="SYMMETRIC_DEFAULT")
            return str(made["KeyMetadata"]["KeyId"])

    def wrap(self, key_id: str, key: bytes, context: str) -> bytes:
        with _told():
            sealed = self._kms.encrypt(KeyId=key_id, Plaintext=key, EncryptionContext=_bound(context))
            return bytes(sealed["CiphertextBlob"])

    def unwrap(self, key_id: str, wrapped: bytes, context: str) -> bytes:
        with _told():
            # an empty one would not be sent at all
            blob = wrapped or b"\0"
            opened = self._kms.decrypt(CiphertextBlob=blob, EncryptionContext=_bound(context))
        # asked for by its id, a key that is not the right one could not be told from one that we may not use
        if not opened["KeyId"].endswith(key_id):
            raise Tampered()
        return bytes(opened["Plaintext"])

    def destroy(self, key_id: str) -> None:
        try:
            with _told():
                self._kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=DELETION_DAYS)
        except KeyUnknown:
            return


def _bound(context: str) -> dict[str, str]:
    return {"erlmcp": hashlib.sha256(context.encode()).hexdigest()}


@contextmanager
def _told() -> Iterator[None]:
    """What AWS says, in our words."""
    try:
        yield
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code in TAMPERED or FOREIGN in message:
            raise Tampered() from error
        if code in UNKNOWN:
            raise KeyUnknown(f"AWS KMS does not have the key: {code}") from error
        if code in FORBIDDEN:
            raise BadProvider(f"AWS KMS does not let us: {code}") from error
        raise KeyServiceAway(f"AWS KMS: {code}") from error
    except NoCredentialsError as error:
        raise BadProvider("aws needs credentials") from error
    except BotoCoreError as error:
        raise KeyServiceAway(f"AWS KMS: {type(error).__name__}") from error

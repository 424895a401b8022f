"""Every provider keeps the same promises: `local`, AWS KMS (moto's server), Vault (a stand-in), PKCS#11 (SoftHSM2)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from encryption_app.envelope import KEY_BYTES, Tampered
from encryption_app.errors import BadProvider, KeyServiceAway, KeyUnknown
from encryption_app.providers.aws import AwsKms
from encryption_app.providers.interface import Provider
from encryption_app.providers.local import Local
from encryption_app.providers.pkcs11 import Pkcs11
from encryption_app.providers.vault import Vault
from tests.encryption import softhsm
from tests.encryption.vault_server import TOKEN, VaultServer
from tests.stack.missing import missing
from tests.stack.processes import free_port

KEY = bytes(range(KEY_BYTES))
CONTEXT = "0123 resource://vault.example/a"
NAMES = ["local", "aws", "vault", "pkcs11"]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedMotoServer]:
    """AWS as moto serves it, and an environment in which boto3 finds it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    fresh = {
        "AWS_ENDPOINT_URL_KMS": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_CONFIG_FILE": str(tmp_path_factory.mktemp("aws") / "none"),
    }
    with environment(**fresh):
        yield server
    server.stop()


@pytest.fixture
def vault() -> Iterator[VaultServer]:
    server = VaultServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The module of a SoftHSM2 with a token; without one these tests are skipped, but never in CI."""
    found = softhsm.module()
    if found is None:
        missing("SoftHSM2 (Debian: apt-get install softhsm2)")
    softhsm.make_token(tmp_path_factory.mktemp("softhsm"))
    return str(found)


@pytest.fixture(params=NAMES)
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Provider:
    match request.param:
        case "local":
            return Local(tmp_path / "keyring.json")
        case "aws":
            request.getfixturevalue("aws")
            return AwsKms()
        case "vault":
            server: VaultServer = request.getfixturevalue("vault")
            return Vault(server.url, TOKEN)
    return Pkcs11(request.getfixturevalue("hsm"), softhsm.LABEL, softhsm.PIN)


@contextmanager
def environment(**fresh: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in fresh}
    os.environ.update(fresh)
    yield
    for name, text in before.items():
        os.environ.pop(name)
        if text is not None:
            os.environ[name] = text


def test_what_is_wrapped_is_unwrapped_by_the_same_key_for_the_same_context(provider: Provider) -> None:
    one, other = provider.create(), provider.create()
    assert one != other and max(len(one), len(other)) <= 255
    wrapped = provider.wrap(one, KEY, CONTEXT)
    assert KEY not in wrapped
    assert wrapped != provider.wrap(one, KEY, CONTEXT)
    assert provider.unwrap(one, wrapped, CONTEXT) == KEY
    for key_id, context in ((other, CONTEXT), (one, CONTEXT + "b")):
        with pytest.raises(Tampered):
            provider.unwrap(key_id, wrapped, context)


def test_what_was_tampered_with_is_not_unwrapped(provider: Provider) -> None:
    key_id = provider.create()
    wrapped = provider.wrap(key_id, KEY, CONTEXT)
    for bad in (wrapped[:-2] + bytes([wrapped[-2] ^ 2]) + wrapped[-1:], wrapped[: len(wrapped) // 2], b"", b"\xff"):
        with pytest.raises(Tampered):
            provider.unwrap(key_id, bad, CONTEXT)
    assert provider.unwrap(key_id, wrapped, CONTEXT) == KEY


@pytest.mark.parametrize("provider", [name for name in NAMES if name != "aws"], indirect=True)
def test_a_destroyed_key_does_nothing_any_more(provider: Provider) -> None:
    key_id, kept = provider.create(), provider.create()
    wrapped = provider.wrap(key_id, KEY, CONTEXT)
    for _ in range(2):
        provider.destroy(key_id)
    with pytest.raises(KeyUnknown):
        provider.unwrap(key_id, wrapped, CONTEXT)
    with pytest.raises(KeyUnknown):
        provider.wrap(key_id, KEY, CONTEXT)
    assert provider.unwrap(kept, provider.wrap(kept, KEY, CONTEXT), CONTEXT) == KEY


def test_aws_is_asked_to_destroy_a_key_as_soon_as_it_does(aws: ThreadedMotoServer) -> None:
    """moto still uses a key that waits for its end, which AWS does not."""
    one = AwsKms()
    key_id = one.create()
    for _ in range(2):
        one.destroy(key_id)
    assert boto3.client("kms").describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    with pytest.raises(KeyUnknown):
        one.wrap("01234567-0123-0123-0123-0123456789ab", KEY, CONTEXT)


def test_no_provider_is_told_whose_key_it_wraps(vault: VaultServer) -> None:
    one = Vault(vault.url, TOKEN)
    key_id = one.create()
    one.unwrap(key_id, one.wrap(key_id, KEY, CONTEXT), CONTEXT)
    assert vault.asked and "vault.example" not in str(vault.asked)


def test_a_vault_that_is_sealed_or_does_not_answer_is_away(vault: VaultServer) -> None:
    one = Vault(vault.url, TOKEN)
    key_id = one.create()
    vault.sealed = True
    with pytest.raises(KeyServiceAway):
        one.wrap(key_id, KEY, CONTEXT)
    vault.sealed, vault.silent = False, True
    with pytest.raises(KeyServiceAway):
        one.wrap(key_id, KEY, CONTEXT)
    vault.stop()
    with pytest.raises(KeyServiceAway):
        one.wrap(key_id, KEY, CONTEXT)


def test_a_vault_that_does_not_take_the_token_says_so(vault: VaultServer) -> None:
    with pytest.raises(BadProvider, match="token"):
        Vault(vault.url, "hvs.another").create()
    with pytest.raises(BadProvider, match="VAULT_ADDR"):
        Vault("", "")


def test_an_aws_that_does_not_answer_is_away(aws: ThreadedMotoServer) -> None:
    with environment(AWS_ENDPOINT_URL_KMS=f"http://127.0.0.1:{free_port()}"), pytest.raises(KeyServiceAway):
        AwsKms().create()


def test_a_token_that_is_not_there_or_does_not_take_the_pin_is_told(hsm: str) -> None:
    with pytest.raises(KeyServiceAway, match="no token"):
        Pkcs11(hsm, "another token", softhsm.PIN).create()
    with pytest.raises(BadProvider, match="PKCS11_MODULE"):
        Pkcs11("", "", "")
    with pytest.raises(KeyServiceAway, match="no token"):
        Pkcs11("/no/such/module.so", softhsm.LABEL, softhsm.PIN).create()


def test_keys_in_a_token_cannot_be_taken_out_of_it(hsm: str) -> None:
    one = Pkcs11(hsm, softhsm.LABEL, softhsm.PIN)
    key_id = one.create()
    wrapped = one.wrap(key_id, KEY, CONTEXT)
    another_session = Pkcs11(hsm, softhsm.LABEL, softhsm.PIN)
    assert another_session.unwrap(key_id, wrapped, CONTEXT) == KEY

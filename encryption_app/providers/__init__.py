"""The providers that rules may name, and where they are; imported when they are used, as what they need is optional."""

PROVIDERS = {
    "aws": "encryption_app.providers.aws.AwsKms",
    "local": "encryption_app.providers.local.Local",
    "pkcs11": "encryption_app.providers.pkcs11.Pkcs11",
    "vault": "encryption_app.providers.vault.Vault",
}

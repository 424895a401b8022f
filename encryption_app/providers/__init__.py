"""The providers that rules may name, and where they are; imported when they are used, as what they need is optional."""

PROVIDERS = {
    "local": "encryption_app.providers.local.Local",
}

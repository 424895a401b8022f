"""TLS towards receivers: always verified, by the system's authorities or by one that the sink names."""

import ssl

from audit_app.sinks.configuration import Target
from audit_app.sinks.receivers import ReceiverAway


def tls_context(target: Target) -> ssl.SSLContext:
    """A client's context. Raises ReceiverAway when a file of the sink is no certificate or key."""
    texts = target.texts
    try:
        context = ssl.create_default_context(cafile=texts.get("ca"))
        if "cert" in texts:
            context.load_cert_chain(texts["cert"], texts.get("key"), password="")
    except OSError as error:
        raise ReceiverAway(f"the certificates of the sink cannot be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

"""Which receiver belongs to which kind of sink."""

from collections.abc import Callable, Mapping

from audit_app.sinks.configuration import Target
from audit_app.sinks.files import Files
from audit_app.sinks.http import Splunk, Web
from audit_app.sinks.otlp import Otlp
from audit_app.sinks.receivers import Receiver
from audit_app.sinks.syslog import Syslog

RECEIVERS: Mapping[str, Callable[[Target], Receiver]] = {
    "file": Files,
    "syslog+tcp": Syslog,
    "syslog+tls": Syslog,
    "http": Web,
    "https": Web,
    "splunk+http": Splunk,
    "splunk+https": Splunk,
    "otlp+http": Otlp,
    "otlp+https": Otlp,
}


def receiver_of(target: Target) -> Receiver:
    """A receiver to deliver to. Raises ReceiverAway when it cannot be made of what the sink names."""
    return RECEIVERS[target.kind](target)

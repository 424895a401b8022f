"""Every family of methods, and the pipeline that runs them. Transports start here."""

from erlmcp_site.methods import (
    access,
    agents,
    audit,
    auth,
    connections,
    events,
    keys,
    listening,
    resources,
    sessions,
    subscriptions,
    telemetry,
)
from erlmcp_site.methods.results import RESULTS
from erlmcp_site.methods.table import METHODS
from erlmcp_site.pipeline.runner import Pipeline

FAMILIES = (
    *(auth, keys, sessions, resources, subscriptions, events, listening, connections),
    *(access, audit, telemetry, agents),
)

pipeline = Pipeline(METHODS, RESULTS)

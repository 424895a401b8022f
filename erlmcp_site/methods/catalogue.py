"""Every family of methods, and the pipeline that runs them. Transports start here."""

from erlmcp_site.methods import (
    access,
    agents,
    audit,
    auth,
    completion,
    connections,
    events,
    keys,
    listening,
    prompts,
    resources,
    search,
    sessions,
    subscriptions,
    telemetry,
)
from erlmcp_site.methods.results import RESULTS
from erlmcp_site.methods.table import METHODS
from erlmcp_site.pipeline.runner import Pipeline

FAMILIES = (
    *(auth, keys, sessions, resources, search, subscriptions, events, listening, connections),
    *(access, audit, telemetry, agents, prompts, completion),
)

pipeline = Pipeline(METHODS, RESULTS)

"""Every family of methods, and the pipeline that runs them. Transports start here."""

from erlmcp_site.methods import audit, auth, connections, events, resources, sessions, subscriptions, telemetry
from erlmcp_site.methods.results import RESULTS
from erlmcp_site.methods.table import METHODS
from erlmcp_site.pipeline.runner import Pipeline

FAMILIES = (auth, sessions, resources, subscriptions, events, connections, audit, telemetry)

pipeline = Pipeline(METHODS, RESULTS)

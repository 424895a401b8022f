"""The slow topics of this process, which the others of its node are told of."""

from resources_app.hub.hub import hub
from resources_app.hub.slow_topics import SlowTopics
from telemetry_app.reporter import reporter

slow_topics = SlowTopics(lambda: hub.topics)
reporter.on_note(slow_topics.notes)

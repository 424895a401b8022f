"""Metrics to other programs that do not ask for them: Graphite and OpenTelemetry collectors.

One process of a node sends what all of them have (`sending.py`), each receiver from a thread of its own (`shipper.py`)
which waits for nobody and for which nobody waits. A receiver that is away costs a few batches of memory.
"""

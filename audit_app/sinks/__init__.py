"""Sinks: other programs that are told of every entry of the trail, each at its own pace (seed §6.2, SIEM integration).

A sink is a follower of the audit database with a durable cursor: the number of the last entry that its receiver has
taken. Nothing is queued for it, so a receiver that is away costs no memory, and whatever it missed is in the trail.
Every entry is delivered at least once and in the order of the trail; its id tells a repeat.
"""

"""What has to hold whichever door clients come in by: tests do it shortened, `make chaos` at length and with figures.

Each takes a cluster and a door to it, raises AssertionError where a promise is broken, and returns what it measured.
"""

"""Two nodes behind a gateway, clients of every transport, faults one after the other, and a verdict on what happened.

`python -m tests.chaos` (`make chaos`) is the long form, tests/acceptance/test_chaos*.py are the short one.
"""

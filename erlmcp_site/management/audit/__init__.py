"""The subcommands of `manage.py audit`, a module each: `add_arguments(parser)` and `run(command, options)`.

The first line of a module's docstring is its help.
"""

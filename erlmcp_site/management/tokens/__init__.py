"""What operators do with the keys that sign tokens, one file a subcommand of `manage.py tokens`."""

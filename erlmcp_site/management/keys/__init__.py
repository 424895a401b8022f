"""What operators do with keys, one file a subcommand of `manage.py keys`."""

"""What operators and auditors do with the trail, one file a subcommand of `manage.py audit`."""

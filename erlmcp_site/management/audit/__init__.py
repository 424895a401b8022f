"""What `manage.py audit` can do with the trail: a module for each subcommand, with HELP, add_arguments and run."""

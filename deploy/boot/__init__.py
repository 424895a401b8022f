"""`python -m deploy.boot`: the services of `deploy/compose/compose.yaml` as processes of this machine, without containers."""

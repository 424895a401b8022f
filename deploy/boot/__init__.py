"""`python -m deploy.boot`: the services of `compose.yaml` as processes of this machine, without containers."""

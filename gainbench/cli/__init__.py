"""``python -m gainbench``: verbs and no logic. torch is loaded only by verbs that compute."""

# Importing a module of verbs registers them with the application, in the order in which --help lists them.
from gainbench.cli import suites, folders, methods, reference, listing  # isort: skip
from gainbench.cli.application import app, main

__all__ = ["app", "folders", "listing", "main", "methods", "reference", "suites"]

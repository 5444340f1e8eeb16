"""The command line: `python -m boxis_async`."""

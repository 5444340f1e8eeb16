"""The command line: `boxis`, and `python -m boxis_async`."""

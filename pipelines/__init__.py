"""Batch runs: stages, the run as a list, the command line and the run configurations."""

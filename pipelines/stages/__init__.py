"""The stages of a run: pure functions from parameters and input files to output files."""

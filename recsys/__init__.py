"""Recommendations by graph attention: from an interaction log to proven top-k lists."""

__version__ = "0.1.0"

"""A bucket of a server that speaks S3, for the tests of this folder."""

from object_stores import server, url  # noqa: F401

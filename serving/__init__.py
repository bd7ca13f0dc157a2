"""The HTTP service over a bundle."""

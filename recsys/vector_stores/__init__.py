"""The vectors of a bundle in a vector database: written, checked, switched over, kept up to date."""

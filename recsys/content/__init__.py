"""Texts and pictures of items as vectors.

`sources` reads them from tables. An encoder (`encoder`) is `tfidf`, fitted on the items of a phase,
or a model on disk (`model_folder`, `picture_folder`) or behind an address (`endpoint`); `encode`
asks it for what is not in the `cache` yet. `features` is what a phase holds of one feature.
Libraries of models are imported when one is named.
"""

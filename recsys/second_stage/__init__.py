"""A second stage: trees that add to the scores of the best candidates.

`features` says of a user and an item what the first stage and the log know of them, `trees` is what
LightGBM learnt from it, `rerank` adds it to the candidates of lists, in evaluation and serving
alike. Numpy alone but for LightGBM, which is imported where a bundle has trees.
"""

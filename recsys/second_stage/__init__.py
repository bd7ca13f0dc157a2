"""A second stage: trees that add to the scores of the best candidates.

`inputs` holds what is known of the first stage and of users, `candidates` what joins its best ones,
`features` says of a user and an item what trees may read, `trees` is what LightGBM learnt from it,
`rerank` adds it to the candidates of lists, in evaluation and serving alike. Numpy alone but for
LightGBM, which is imported where a bundle has trees.
"""

"""Items without interactions, placed among the others by what is known of them.

The values of items come from a graph (`graph_values`) or a log (`log_items`). On the items that
training has placed, `fit` fits the map from values to vectors by ridge regression (`ridge_map`). The
map itself (`item_map`) needs numpy alone and is a part of the bundle. `new_items` reads a table of
items that nobody has had yet and gives them vectors; `Bundle.append_items` puts them behind its own.
"""

"""Items without interactions: placed among the others by what a table says of them.

A graph says which values items have: `graph_values`. Training places items in a space; `fitting` fits
the map from values to places by ridge regression. The map itself, `item_map`, needs numpy alone and
travels in the bundle. `new_items` reads a table of items that nobody has had yet and gives them
vectors by the map; the parts of a bundle put them behind their own items.
"""

"""Training: from a graph to a network's weights."""

import os

# A step makes arrays of many megabytes and gives them back: with huge pages the kernel hands them out in a
# twentieth less of a step's time. Torch reads this before it makes its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

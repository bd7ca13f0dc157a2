"""Whether DGL is published for the Python at hand."""

import sys

HAS_DGL = sys.version_info < (3, 12)

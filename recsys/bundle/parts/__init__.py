"""The parts of a bundle, a module each; every module in this folder is imported."""

import pkgutil
from importlib import import_module


def import_parts() -> None:
    """Import every module of this folder, so that its parts are registered."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")

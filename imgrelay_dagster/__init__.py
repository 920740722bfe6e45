"""imgrelay: relay tens of thousands of images through a template into a store, on Dagster."""

__version__ = "0.1.0"

"""Reading manifests: where they lie, their formats, their rows, and the inbox they land in."""

"""Reading manifests: locating them, their file formats, their rows, and the inbox folder."""

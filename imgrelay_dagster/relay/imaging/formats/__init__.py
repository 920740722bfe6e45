"""One module for each input format: it turns the file's bytes into a `Picture`."""

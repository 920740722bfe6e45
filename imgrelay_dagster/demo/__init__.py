"""What the first run and the tests need: pictures, an origin that serves them, and a real S3 server."""

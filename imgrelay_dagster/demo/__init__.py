"""Pictures, an HTTP origin that serves them, and a real S3 server, for the demo and the tests."""

"""Background calls, the thread pool and signal handling."""

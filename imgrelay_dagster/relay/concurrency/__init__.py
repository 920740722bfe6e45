"""Background calls, the thread pool and the handling of signals."""

"""The five ops. They are thin: they turn config into calls of the engine, and what it returns into metadata."""

"""The five ops: thin. They turn config into engine calls, and the engine's answers into metadata."""

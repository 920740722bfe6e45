"""The run config, its mapping to the ops, allowed paths, the choice of the executor, and the environment."""

"""What a run can be told: the run config, its mapping to the ops, allowed paths, executor choice, environment."""

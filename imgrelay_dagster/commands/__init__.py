"""What stands behind the command `imgrelay`: launching a run and waiting for its end, and looking at what there is."""

"""The commands that look at what there is: `imgrelay results` and `imgrelay datasets`."""

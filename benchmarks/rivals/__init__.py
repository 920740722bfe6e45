"""Programs of others that do a part of imgrelay's work, and how they are called."""

"""Results of a run: folded from its records, written, merged from shards, and read again."""

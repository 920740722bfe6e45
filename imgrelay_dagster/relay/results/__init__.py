"""Results of a run: made from its records, merged from its shard runs, read again and checked."""

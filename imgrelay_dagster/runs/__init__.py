"""Facts about Dagster runs that several packages need: tags, queries, status and process identity."""

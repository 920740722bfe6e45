"""Facts about Dagster runs that several rooms need: tags, queries, status and process identity."""

"""What asks for runs: days and their manifests, the inbox, shard runs, and how often each is checked."""

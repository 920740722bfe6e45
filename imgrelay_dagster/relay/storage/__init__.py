"""Opening stores, listing them, and putting their errors into words."""

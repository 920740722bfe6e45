"""The progress of a run: the notes of its steps, and the announcements made from them."""

"""How far a run is: notes of the steps, and announcements made from them."""

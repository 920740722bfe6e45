"""Capacity planning: costs measured on Celery workers, and a simulation of a day with them."""

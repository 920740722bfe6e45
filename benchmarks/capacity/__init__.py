"""What so and so many images a day need: costs measured on Celery workers, and a simulation that multiplies them."""

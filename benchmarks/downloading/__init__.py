"""What downloading alone costs."""

"""What a paper takes from a report."""

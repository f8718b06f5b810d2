"""What the stages hand to each other, and what all of them share."""

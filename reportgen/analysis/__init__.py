"""The analysis stage: HeadScores in, Findings out."""

"""The scoring stage: a transformer and tasks in, HeadScores out."""

"""The rendering stage: HeadScores and Findings in, a report out."""

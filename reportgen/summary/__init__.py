"""The summary stage: Findings and trials in, Claims out."""

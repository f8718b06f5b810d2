"""Task rows, from files to padded batches, and what an answer is worth."""

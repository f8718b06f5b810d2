"""Is it causal? Knock out what was found, and as many matched heads, and compare."""

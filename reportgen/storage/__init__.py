"""Files: written whole, read within limits, here or behind a URL."""

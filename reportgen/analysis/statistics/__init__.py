"""Statistics of layer × head maps, each with its null."""

"""A detector, a section and a scoring method for reportgen."""

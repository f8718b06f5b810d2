"""The archival PDF, laid out by WeasyPrint."""

"""What suites share: drawing rows by template, lists of common words, and rows that more than one suite writes."""

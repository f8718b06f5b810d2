"""Topics of claims, one file each. A topic may name the kinds of findings that support its claims."""

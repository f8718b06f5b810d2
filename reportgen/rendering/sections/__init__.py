"""The report's sections, one file each; ``[report] sections`` selects and orders them by name."""

"""Reports that lie in archives: verify one, make it again, describe it for repositories."""

"""A transformer: loaded, its heads found and checked, its runs watched and changed."""

"""Suites of tasks that come with reportgen, one file each."""

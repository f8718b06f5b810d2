"""Runs that leave out what need not run again."""

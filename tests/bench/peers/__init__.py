"""Servers of other makers, each started by a few lines of ours."""

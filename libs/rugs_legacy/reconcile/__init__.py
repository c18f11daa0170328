"""Reconcile: whether the data set holds what old files say, row by row."""

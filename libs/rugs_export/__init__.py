"""Export: what the lake holds as files of the old formats, or as rows; the same bytes for the same data set.

A manifest beside the files says which event each line is, so that what is imported again is known.
"""

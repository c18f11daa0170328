"""Service: the old recorders' files beside the lake, while somebody still reads them."""

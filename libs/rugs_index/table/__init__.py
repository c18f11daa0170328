"""The table of the index: chunks and their vectors in LanceDB, replaced scope by scope, rebuilt at any time."""

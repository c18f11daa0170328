"""The semantic index: chunks of what was recorded, their embeddings, and the search over them. Derived, all of it."""

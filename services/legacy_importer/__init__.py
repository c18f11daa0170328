"""The legacy-importer: old recordings into the lake, by way of the bus."""

"""What the lake is made of: the catalog and its transaction, Parquet files, paths, ids."""

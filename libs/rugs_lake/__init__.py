"""The lake: Parquet files and the catalog that says which of them count.

`open()` reads it; `rugs_lake.writer` is what the parquet-writer runs.
"""

from rugs_lake.catalog import LakeError
from rugs_lake.reader import Lake
from rugs_lake.reader import open_lake as open

__all__ = ["Lake", "LakeError", "open"]

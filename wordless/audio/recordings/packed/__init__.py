"""Recordings inside other files: data sets in Arrow or Parquet files, and tar shards. They are unpacked once."""

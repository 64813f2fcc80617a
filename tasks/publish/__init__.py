"""The concept dataset as others load it: Parquet files and a card that says what they are."""

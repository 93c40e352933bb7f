"""Find what is wrong on the data's way: in the collector's YAML, and hop by hop in a live stack."""

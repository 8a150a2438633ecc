"""`make bench`: each figure beside a named reference that was measured in the same run, as a ratio of medians."""

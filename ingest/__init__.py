"""Everything that enters from the field: receive, decode, admit, store, mark, commit, acknowledge (pipeline.py)."""

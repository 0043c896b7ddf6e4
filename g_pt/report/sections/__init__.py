"""One module an evaluation: its figures, its tables, its few numbers at the top; and how training went."""

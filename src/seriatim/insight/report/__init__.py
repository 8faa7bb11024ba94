"""The report of an inspection: one HTML page with its figures inside, which loads nothing from anywhere."""

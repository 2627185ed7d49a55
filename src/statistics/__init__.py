"""Numbers about scores: scales, intervals, differences, verdicts, selection. Pure functions of rows."""

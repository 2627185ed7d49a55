"""Results: a run's folder and its mirror (runs), the files in it (store), statistics (tables), pictures (grids)."""

"""Results: a run's folder and its mirror (runs), its files (store), statistics (tables), pictures (grids), pages."""

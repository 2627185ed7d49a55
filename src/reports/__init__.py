"""How results are shown: tables, figures, grids, pages, dashboards."""

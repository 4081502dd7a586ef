"""The browser explorer: a run's decoder and codes in one page that stands alone."""

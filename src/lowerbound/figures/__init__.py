"""Pictures of arrays: grids, manifolds, maps, curves and bars; nothing here knows a model.

Every function takes plain arrays and returns a matplotlib ``Figure`` of its own (no pyplot, no global style), so the
same arrays always give the same picture; :func:`save` writes it as the same bytes.
"""

from lowerbound.figures.animation import gif
from lowerbound.figures.canvas import beside, png, save
from lowerbound.figures.charts import comparison_bars, heat_map, kl_bars, table_histograms, training_curves
from lowerbound.figures.comparison import Map, comparison
from lowerbound.figures.images import image_grid, manifold, reconstructions, traversal
from lowerbound.figures.maps import Ground, latent_map
from lowerbound.figures.ranking import ranking
from lowerbound.figures.response import response

__all__ = [
    "Ground",
    "Map",
    "beside",
    "comparison",
    "comparison_bars",
    "gif",
    "heat_map",
    "image_grid",
    "kl_bars",
    "latent_map",
    "manifold",
    "png",
    "ranking",
    "reconstructions",
    "response",
    "save",
    "table_histograms",
    "training_curves",
    "traversal",
]

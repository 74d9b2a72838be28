from .clicks import Clicks
from .ranking import Ranking, base_loss
from .uniform import UniformRatings

__all__ = ["Clicks", "Ranking", "UniformRatings", "base_loss"]

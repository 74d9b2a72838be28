from .clicks import Clicks
from .ranking import Ranking, base_loss
from .sequential import Sequential
from .uniform import UniformRatings

__all__ = ["Clicks", "Ranking", "Sequential", "UniformRatings", "base_loss"]

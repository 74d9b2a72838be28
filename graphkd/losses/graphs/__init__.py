"""Losses from papers about graphs: over edges, over neighbourhoods, over graphs that models or teachers span."""

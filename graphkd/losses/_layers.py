"""The two layers of each model that some methods read."""

from collections.abc import Sequence

Layer = str | tuple[str, str]  # one path for both models, or (student path, teacher path)


def layer_taps(method: str, layers: Sequence[Layer]) -> dict[str, Layer]:
    """Name the taps of two layers ``hidden_0`` and ``hidden_1``; raise ValueError unless there are two."""
    if isinstance(layers, str) or len(layers) != 2:
        raise ValueError(
            f"{method!r} needs 'layers', 2 paths of sub-modules or (student path, teacher path) pairs, got {layers!r}: "
            f'give graphkd.distil({method!r}, student, teacher, data, layers=("convs.0", "convs.1"))'
        )
    return {"hidden_0": layers[0], "hidden_1": layers[1]}

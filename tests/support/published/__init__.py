"""Published checkpoints, rebuilt with tiny random weights: the files, names, types and values that the Hub has for each model.

One row for each layout. Sizes are small, everything else of config.json and tokenizer_config.json is as published.
"""

from tests.support.published import decoders, encoder_decoders, encoders
from tests.support.published.layout import Layout

__all__ = ["LAYOUTS", "Layout"]

LAYOUTS: dict[str, Layout] = {row.name: row for row in (*encoders.ROWS, *decoders.ROWS, *encoder_decoders.ROWS)}
"""Id on the Hub -> layout."""

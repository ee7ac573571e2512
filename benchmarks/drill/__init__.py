"""Two who write at once: an update on its way, and somebody who takes everything back by hand."""

"""A package index as a conda channel: the parts that the channel server and the static mirror share."""

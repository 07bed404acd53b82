"""The caches of the bridge: what lies in them, whether it is whole, and how it goes.

Apart from the bridge's own folder these are conda's package folders, of which the packages that came from an
index are the bridge's; whatever else is there is conda's, and left alone.
"""

from .clean import Cleaned, clean
from .model import Cache, Fault, Item, Kind, select
from .survey import survey
from .verify import verify

__all__ = ["Cache", "Cleaned", "Fault", "Item", "Kind", "clean", "select", "survey", "verify"]

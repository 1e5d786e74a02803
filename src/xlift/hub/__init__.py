"""Files of dataset repositories on the Hub: found on this machine, or brought here by the Hub's own client.

Files lie in the layout of that client's cache, wherever the cache is: `datasets--ORG--NAME/` with `refs/` (what a branch
is), `snapshots/COMMIT/` (the files as in the repository) and `blobs/`. Beside them xlift keeps `xlift/COMMIT.json`: every
Parquet file of the commit with its size and checksum. By it a half-brought set of files is never taken for a whole one,
and everything can be checked again without the network.

Once a set of files is here it answers, and the network is not asked whether there is anything newer: a study gives the
same keys online and offline. A newer revision comes in when the repository is removed from the cache.

Ground floor: the client is imported only where it is used.
"""

from __future__ import annotations

from xlift.hub.cache import FOLDER, Entry, Snapshot, caches, discard, here, sweep, write, wrong
from xlift.hub.client import bring, listing, wanted
from xlift.hub.faults import CONVERTED, Stuck

__all__ = [
    "CONVERTED", "FOLDER", "Entry", "Snapshot", "Stuck", "bring", "caches", "discard", "here", "listing", "sweep", "wanted",
    "write", "wrong",
]  # fmt: skip

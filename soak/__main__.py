"""`python -m soak [submit|listing]`."""

import logging, time
from . import submit, listing

logging.disable(logging.WARNING)
for c in (submit, listing):
    t = time.time()
    print(c.run(), f"{time.time()-t:.1f}s")

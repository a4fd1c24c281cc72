"""One processor thread a process, as workers have it: on a busy machine more of them wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

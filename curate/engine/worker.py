"""What every Dask worker loads when it starts."""

import signal


def dask_setup(worker) -> None:
    """Leave Ctrl-C to the process that runs the plan: it ends the workers, and they have nothing to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

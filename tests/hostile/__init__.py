"""``make hostile``: waits on a hostile vendor in a real triggerer, next to waits on a good one."""

"""``make hostile``: waits on a hostile vendor in a real triggerer, beside waits on a good one."""

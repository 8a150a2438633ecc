"""What we are measured beside: programs that others wrote, installed for the benchmark alone."""

"""What carries runs out: the port, and the local engine of processes on this machine."""

"""loss kernels."""

"""The kernels as CUDA C: the same functions that Numba compiles, translated."""

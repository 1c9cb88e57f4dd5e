"""CUDA C of the fused recursion: one thread an entry, in place on a panel of dot products, and its diagonal.

All of the mathematics is translated from the functions that Numba compiles (``translate``); only the loops around
it, which a GPU runs as threads, are written here.  Arithmetic is float64 whatever the panel's type, as on the CPU.
Close and antipodal pairs are redone from row differences by their own thread, and equal rows take the path of the
diagonal, so they have its bits.
"""

from __future__ import annotations

from ntkdist.kernels.device.translate import Translator
from ntkdist.kernels.duals.portable import geometric_mean
from ntkdist.kernels.recursion import combine, step

_TABLES = """const long long* ops, const long long* where, const long long* places, const double* par,
    const double* numbers, long long depth, long long terms"""

_PASS = """
__device__ static double ntk_turn(const REAL* x, const REAL* z, long long width, double r1, double r2,
    double sign)
{
  double total = 0.0;
  for (long long j = 0; j < width; j++) {
    double t = (double)x[j] / r1 - sign * (double)z[j] / r2;
    total += t * t;
  }
  return total;
}

__device__ static double ntk_entry(bool tangent, double theta, double c, double v, double w, TABLES,
    const double* q1, const double* q2, const double* g1, const double* g2, const double* row1, const double* row2)
{
  for (long long l = 0; l < depth; l++) {
    ntk_step_result t = ntk_step(ops[l], where[l], places[l], q1[l], q2[l], g1[l], g2[l], c, v, w, theta, par,
        numbers + 8 * l, row1, row2);
    c = t.r0; v = t.r1; w = t.r2; theta = t.r3;
  }
  return tangent ? theta : c;
}

extern "C" __global__ void recursion(REAL* tile, const REAL* x, const REAL* z, const double* n1, const double* n2,
    const double* q1, const double* q2, const double* g1, const double* g2, const double* rows1, const double* rows2,
    TABLES, long long height, long long columns, long long stride, long long width, int tangent, double heat,
    double shift, double close)
{
  long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  long long i = (long long)blockIdx.y * blockDim.y + threadIdx.y;
  if (i >= height || j >= columns) return;
  double dot = tile[i * stride + j], r1 = sqrt(n1[i]), r2 = sqrt(n2[j]);
  double p = ntk_geometric_mean(n1[i], n2[j]);
  double v = 2.0 * (p - dot), w = 2.0 * (p + dot);
  if (v < 2.0 * close * p) {
    v = p * ntk_turn(x + i * width, z + j * width, width, r1, r2, 1.0);
    w = 4.0 * p - v;
  } else if (w < 2.0 * close * p) {
    w = p * ntk_turn(x + i * width, z + j * width, width, r1, r2, -1.0);
    v = 4.0 * p - w;
  }
  double c = (v < w ? p - v / 2.0 : w / 2.0 - p) + shift;
  double more = ntk_combine(n1[i], n2[j], shift, shift);
  tile[i * stride + j] = (REAL)ntk_entry(tangent != 0, heat * c, c, v + more, w + more + 4.0 * shift, ops, where,
      places, par, numbers, depth, terms, q1 + i * depth, q2 + j * depth, g1 + i * depth, g2 + j * depth,
      rows1 + i * terms, rows2 + j * terms);
}

extern "C" __global__ void diagonal(REAL* out, const double* n1, const double* q1, const double* g1,
    const double* rows1, TABLES, long long height, int tangent, double heat, double shift)
{
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= height) return;
  double q = n1[i] + shift;
  out[i] = (REAL)ntk_entry(tangent != 0, heat * q, q, 0.0, 4.0 * q, ops, where, places, par, numbers, depth, terms,
      q1 + i * depth, q1 + i * depth, g1 + i * depth, g1 + i * depth, rows1 + i * terms, rows1 + i * terms);
}
"""


def recursion_source(dtype: str) -> str:
    """Return the source of ``recursion`` and ``diagonal`` for panels of float64 or float32."""
    translator = Translator()
    for function in (step, combine, geometric_mean):
        translator.add(function)
    real = {"float64": "double", "float32": "float"}[dtype]
    return translator.source() + _PASS.replace("TABLES", _TABLES).replace("REAL", real)

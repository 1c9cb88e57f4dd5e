"""The same layer as CUDA C: one warp a displacement, a lane a column, all rows of K and T in registers.

Displacements are taken modulo the image (a torus), so that each has h × w positions and no lane idles: where a
displacement wraps around, up to four sub-images meet at a seam across which nothing is summed.  Vertical sums stay in
registers and horizontal ones are shuffles: neither shared memory nor barriers inside the layers.  The pointwise part
is the text of ``pointwise`` that Numba compiles too.  A block is one pair of images; its warps share the displacements
and their float64 sums are added in a fixed order, so that results repeat bit for bit.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ntkdist.kernels.conv.pointwise import coefficients, layer_lines
from ntkdist.kernels.conv.row_pass import top

MAX_WIDTH = 32
WARPS = 4


def cuda_source(dtype: str, filter_size: int, height: int, width: int, warps: int = WARPS) -> str:
    """Return the kernel ``cntk`` for images of height × width (at most 32 columns).

    ``cntk(xi, xj, ai, si, aj, sj, nine scalars, channels, depth, displacements, n2, sums)``: images (n, h, c, w),
    tables (n, layers, h, w), the scalars of ``device_scalars``, ``displacements`` h·w for global average pooling
    and 1 for flatten, ``sums`` (n1, n2, 2) float64; grid (n2, n1), block 32·warps threads.
    """
    single = dtype == "float32"
    names = coefficients(dtype)

    def literal(value: Any) -> str:
        return float(value).hex() + ("f" if single else "")

    # Float64 literals cost two moves each on recent devices; in constant memory they cost none.
    tables = [
        f"__constant__ double {name}[{values.size}] = {{{', '.join(map(literal, values))}}};"
        for name, values in names.items()
        if not single
    ]

    def constant(name: str, n: int) -> str:
        return literal(names[name][n]) if single else f"{name}[{n}]"

    layer = "\n".join(f"        real {line};" for line in layer_lines(dtype, constant))
    return _TEMPLATE.format(
        real="float" if single else "double",
        absolute="fabsf" if single else "fabs",
        square_root="sqrtf" if single else "sqrt",
        tables="\n".join(tables),
        height=height,
        width=width,
        half=filter_size // 2,
        warps=warps,
        layer=layer,
        step=literal(top(dtype, 0) - top(dtype, 1)),
    )


def device_scalars(scalars: NDArray[Any]) -> list[Any]:
    """Return the nine scalars of ``cntk`` from ``run_stage.layer_scalars``; as arguments they cost no registers."""
    first, last = scalars[0], scalars[-1]
    return [first[0], first[1], first[2], first[3], first[4], last[5], first[6], first[9], first[10]]


def supported(width: int, stages: int, residual: bool) -> bool:
    """Whether the device kernel covers an architecture: no pooling, no residual blocks, at most 32 columns."""
    return width <= MAX_WIDTH and stages == 1 and not residual


_TEMPLATE = """\
typedef {real} real;
{tables}
static __device__ __forceinline__ real most(real a, real b) {{ return a > b ? a : b; }}
static __device__ __forceinline__ real at_least_zero(real x, real yes, real no) {{ return x >= 0 ? yes : no; }}
static __device__ __forceinline__ real size(real x) {{ return {absolute}(x); }}
static __device__ __forceinline__ real root(real x) {{ return {square_root}(x); }}
#define H {height}
#define W {width}
#define HALF {half}
#define WARPS {warps}
#define FULL 0xffffffffu

static __device__ __forceinline__ real across(real v, int lane, int partner) {{
  real sum = v;
  #pragma unroll
  for (int m = 1; m <= HALF; m++) {{
    real left = __shfl_up_sync(FULL, v, m), right = __shfl_down_sync(FULL, v, m);
    sum += (lane >= m && partner >= m ? left : (real)0) + (lane + m < W && partner + m < W ? right : (real)0);
  }}
  return sum;
}}

extern "C" __global__ void __launch_bounds__(32 * WARPS) cntk(
    const real* __restrict__ xi, const real* __restrict__ xj, const real* __restrict__ ai_,
    const real* __restrict__ si_, const real* __restrict__ aj_, const real* __restrict__ sj_,
    real kb, real tb_first, real ratio, real heat, real drift, real train_last, real top_first,
    real first_train, real scale, int channels, int depth, int displacements, long long n2, double* sums) {{
  const real zero = 0, one = 1;
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  long long i = blockIdx.y, j = blockIdx.x;
  bool inside = lane < W;
  int column = inside ? lane : 0;
  double k_sum = 0, t_sum = 0;
  for (int d = warp; d < displacements; d += WARPS) {{
    int dy = d / W, dx = d % W;
    int partner = column + dx < W ? column + dx : column + dx - W;
    real K[H], T[H];
    #pragma unroll
    for (int y = 0; y < H; y++) {{
      int py = y + dy < H ? y + dy : y + dy - H;
      real v = 0;
      for (int c = 0; c < channels; c++)
        v = fma(xi[((i * H + y) * channels + c) * W + column], xj[((j * H + py) * channels + c) * W + partner], v);
      K[y] = inside ? v * scale : zero;
      T[y] = K[y] * first_train;
    }}
    for (int level = 0; level < depth; level++) {{
      const real tb = level == 0 ? tb_first : kb, train = level == depth - 1 ? train_last : one;
      const real* ai_level = ai_ + (i * depth + level) * H * W + column;
      const real* si_level = si_ + (i * depth + level) * H * W + column;
      const real* aj_level = aj_ + (j * depth + level) * H * W + partner;
      const real* sj_level = sj_ + (j * depth + level) * H * W + partner;
      const real top = top_first - level * {step};
      real k_old[HALF + 1], t_old[HALF + 1];
      // Without this the compiler keeps the wrapped row numbers of all rows in registers across layers, and spills.
      int first_row = dy;
      asm volatile("" : "+r"(first_row));
      #pragma unroll
      for (int y = 0; y < H; y++) {{
        int py = y + first_row < H ? y + first_row : y + first_row - H;
        real k = K[y], t = T[y];
        #pragma unroll
        for (int m = 1; m <= HALF; m++) {{
          if (y >= m) {{
            k += py >= m ? k_old[m - 1] : zero;
            t += py >= m ? t_old[m - 1] : zero;
          }}
          if (y + m < H) {{
            k += py + m < H ? K[y + m < H ? y + m : 0] : zero;
            t += py + m < H ? T[y + m < H ? y + m : 0] : zero;
          }}
        }}
        #pragma unroll
        for (int m = HALF - 1; m > 0; m--) {{ k_old[m] = k_old[m - 1]; t_old[m] = t_old[m - 1]; }}
        k_old[0] = K[y];
        t_old[0] = T[y];
        k = across(k, lane, partner);
        t = across(t, lane, partner);
        real ai = ai_level[y * W], si = si_level[y * W], aj = aj_level[py * W], sj = sj_level[py * W];
{layer}
        K[y] = inside ? kn : zero;
        T[y] = inside ? tn : zero;
      }}
    }}
    real k_rows = 0, t_rows = 0;
    #pragma unroll
    for (int y = 0; y < H; y++) {{ k_rows += K[y]; t_rows += T[y]; }}
    k_sum += k_rows;
    t_sum += t_rows;
  }}
  for (int m = 16; m > 0; m /= 2) {{
    k_sum += __shfl_down_sync(FULL, k_sum, m);
    t_sum += __shfl_down_sync(FULL, t_sum, m);
  }}
  __shared__ double parts[2 * WARPS];
  if (lane == 0) {{ parts[2 * warp] = k_sum; parts[2 * warp + 1] = t_sum; }}
  __syncthreads();
  if (threadIdx.x == 0) {{
    double k_all = 0, t_all = 0;
    for (int w = 0; w < WARPS; w++) {{ k_all += parts[2 * w]; t_all += parts[2 * w + 1]; }}
    sums[2 * (i * n2 + j)] = k_all;
    sums[2 * (i * n2 + j) + 1] = t_all;
  }}
}}
"""

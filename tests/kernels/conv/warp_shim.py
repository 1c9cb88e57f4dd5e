"""CUDA C on the CPU: every thread of a block is a fibre, and a shuffle or barrier waits for all of them."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

SHIM = r"""
#include <cmath>
#include <cstring>
#include <ucontext.h>
#include <vector>
#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
#define __constant__ static const
#define __shared__ static
#define __launch_bounds__(n)
struct Index { unsigned x, y; };
static Index blockIdx, threadIdx, blockDim;
using std::fma; using std::sqrt;
static ucontext_t scheduler; static std::vector<ucontext_t> fibre; static std::vector<char> done;
static std::vector<double> slot; static unsigned now;
static void wait() { swapcontext(&fibre[now], &scheduler); }
static inline void __syncthreads() { wait(); }
template <class T> static T lane_of(T v, long from) {
  std::memcpy(&slot[now], &v, sizeof v); wait();
  unsigned warp = now / 32 * 32; T r = v;
  if (from >= 0 && from < 32) std::memcpy(&r, &slot[warp + from], sizeof r);
  wait(); return r; }
template <class T> static T __shfl_up_sync(unsigned, T v, int m) { return lane_of(v, (long)(now % 32) - m); }
template <class T> static T __shfl_down_sync(unsigned, T v, int m) { return lane_of(v, (long)(now % 32) + m); }
"""
LAUNCH = r"""
static void (*body)();
static void entry() { body(); done[now] = 1; swapcontext(&fibre[now], &scheduler); }
static const real *A, *B, *C, *D, *E, *F; static real G[9];
static int c_, d_, s_; static long long n_; static double* o_;
static void call() { cntk(A, B, C, D, E, F, G[0], G[1], G[2], G[3], G[4], G[5], G[6], G[7], G[8], c_, d_, s_, n_, o_); }
extern "C" void launch(const real* a, const real* b, const real* c, const real* d, const real* e, const real* f,
    const real* g, int channels, int depth, int shifts, long long n1, long long n2, double* out) {
  A = a; B = b; C = c; D = d; E = e; F = f; std::memcpy(G, g, sizeof G);
  c_ = channels; d_ = depth; s_ = shifts; n_ = n2; o_ = out;
  unsigned threads = 32 * WARPS; body = call;
  fibre.resize(threads); slot.resize(threads);
  std::vector<std::vector<char>> stack(threads, std::vector<char>(1 << 16));
  for (long long i = 0; i < n1; i++) for (long long j = 0; j < n2; j++) {
    blockIdx = {(unsigned)j, (unsigned)i}; done.assign(threads, 0);
    for (unsigned k = 0; k < threads; k++) {
      getcontext(&fibre[k]); fibre[k].uc_stack.ss_sp = stack[k].data(); fibre[k].uc_stack.ss_size = stack[k].size();
      fibre[k].uc_link = &scheduler; makecontext(&fibre[k], entry, 0); }
    for (bool some = true; some;) { some = false;
      for (unsigned k = 0; k < threads; k++) if (!done[k]) {
        some = true; now = k; threadIdx = {k, 0}; swapcontext(&scheduler, &fibre[k]); } } } }
"""


def build(source: str, folder: Path) -> ctypes.CDLL:
    """Compile a kernel's source for the CPU; contraction is off, so that only its own fma are fused."""
    # A fibre must read its index anew after each wait: the macro keeps the kernel's text as it is.
    text = SHIM + source.replace("threadIdx.x", "now") + LAUNCH
    (folder / "kernel.cpp").write_text(text)
    library = folder / "kernel.so"
    flags = ["-O1", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-Wno-unknown-pragmas"]
    subprocess.run(["g++", *flags, str(folder / "kernel.cpp"), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))

#!/bin/sh
# From a hashed lock on stdin to plain constraints on stdout; with a CUDA extra, Dask is left to dask-cuda.
held='$^'
case "${1:-}" in *cuda*) held='^(dask|distributed)==' ;; esac
sed -nE 's/^([A-Za-z0-9._-]+==[^ ;\\]+).*/\1/p' | grep -Ev "$held"

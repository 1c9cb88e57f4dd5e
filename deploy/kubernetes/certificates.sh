#!/bin/sh
# A private certificate authority and one certificate for scheduler, workers and drivers, as a Secret on stdout.
# The authority's key is thrown away: run it again for new certificates, and restart the pods.
set -eu
days=${DAYS:-365}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$days" \
  -subj "/CN=ntkdist Dask CA" -keyout ca.key -out ca.crt 2> /dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
  -subj "/CN=ntkdist Dask" -keyout tls.key -out tls.csr 2> /dev/null
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -out tls.crt 2> /dev/null
encoded() { base64 < "$1" | tr -d '\n'; }
cat << YAML
apiVersion: v1
kind: Secret
metadata:
  name: ntkdist-dask-tls
  namespace: ntkdist
type: kubernetes.io/tls
data:
  ca.crt: $(encoded ca.crt)
  tls.crt: $(encoded tls.crt)
  tls.key: $(encoded tls.key)
YAML

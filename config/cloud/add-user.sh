#!/bin/sh
# Makes a client certificate in ./certs for a user of the acl. Usage: add-user.sh NAME [DAYS]
set -eu
name=${1:?usage: add-user.sh NAME [DAYS]}
days=${2:-825}
case $name in
  *[!A-Za-z0-9._@-]* | .* | -*) echo "a name is letters, digits, dot, dash, underscore, @" >&2; exit 2 ;;
esac
umask 077
cd certs
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$name.key" -out "$name.csr" \
  -subj "/CN=$name" 2>/dev/null
printf 'extendedKeyUsage=clientAuth\nauthorityKeyIdentifier=keyid\n' >"$name.ext"
openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$name.crt" -days "$days" \
  -extfile "$name.ext" 2>/dev/null
rm -f "$name.csr" "$name.ext"
echo "certs/$name.crt, certs/$name.key"

#!/bin/sh
# Makes an authority and the broker's certificate in ./certs. Usage: authority.sh BROKER_NAME_OR_ADDRESS
# Keep certs/ca.key away from the broker; a lost one means new certificates for every box.
set -eu
name=${1:?usage: authority.sh BROKER_NAME_OR_ADDRESS}
case $name in
  *[!0-9.]*) alternative="DNS:$name" ;;
  *) alternative="IP:$name" ;;
esac
umask 077
mkdir -p certs data
cd certs
[ ! -e ca.key ] || { echo "certs/ca.key is there already" >&2; exit 1; }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt \
  -days 3650 -subj "/CN=plantroom authority" -addext "keyUsage=critical,keyCertSign,cRLSign" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout broker.key -out broker.csr \
  -subj "/CN=$name" 2>/dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n' "$alternative" >broker.ext
openssl x509 -req -in broker.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out broker.crt -days 825 \
  -extfile broker.ext 2>/dev/null
rm -f broker.csr broker.ext
[ -e ../acl ] || cat >../acl <<'ACL'
# Lines of boxes are added by add-box.sh; those of the cloud stand here. A user is the CN of a certificate.

user cloud
topic read plantroom/v1/#

user dispatcher
topic write plantroom/v1/+/+/cmd/+
topic read plantroom/v1/+/+/res/+
ACL
echo "certs/ca.crt is for boxes and for the cloud; now: ./add-box.sh SITE BOX, ./add-user.sh cloud"

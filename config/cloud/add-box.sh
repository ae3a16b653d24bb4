#!/bin/sh
# Makes a box's certificate and its lines in ./acl. Usage: add-box.sh SITE BOX [DAYS]
# Afterwards: kill -HUP the broker, and put ca.crt, the certificate and the key on the box (uplinks: tls).
set -eu
site=${1:?usage: add-box.sh SITE BOX [DAYS]}
box=${2:?usage: add-box.sh SITE BOX [DAYS]}
case $site$box in
  *[!a-z0-9._-]*) echo "site and box are lowercase letters, digits, dot, dash, underscore" >&2; exit 2 ;;
esac
# "@" stands in no site or box, so no two boxes can have one name.
name="$site@$box"
home="plantroom/v1/$site/$box"
! grep -qxF "user $name" acl || { echo "$name is in acl already" >&2; exit 1; }
sh "$(dirname "$0")/add-user.sh" "$name" "${3:-825}"
cat >>acl <<ACL

user $name
topic write $home/status/box
topic write $home/meta/box
topic write $home/state/+
topic write $home/alarm/+
topic write $home/tele/batch
topic write $home/event/+
topic write $home/res/+
topic read $home/cmd/+
ACL

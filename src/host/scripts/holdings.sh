# What is held here before a release is put in place. Set before: releases, listings, digest. First a line
# `whole|lacking zstd|gzip FREE_KIB FREE_INODES` (`-`: as many as one likes); then, compressed so, the listings of the other releases, each after a
# line `= DIGEST`.
# shellcheck disable=SC2154 # variables that are set before
umask 022
mkdir -p -- "$releases" "$listings" || exit 1
state=lacking
if [ -d "$releases/$digest" ] && [ -e "$listings/$digest" ] && [ -z "$(differing "$listings/$digest" "$releases/$digest")" ]; then
  sign "$digest" && state=whole
fi
compression=gzip
if command -v zstd >/dev/null; then compression=zstd; fi
# shellcheck disable=SC2046 # three numbers
set -- $(df -k --output=avail,itotal,iavail -- "$releases" | tail -n 1)
case ${2:-} in [1-9]*) inodes=$3 ;; *) inodes=- ;; esac
printf '%s %s %s %s\n' "$state" "$compression" "${1:-}" "$inodes"
[ "$state" = lacking ] || exit 0
for directory in "$releases"/*; do
  held=${directory##*/}
  [ -e "$listings/$held" ] && [ "$held" != "$digest" ] && printf '= %s\n' "$held" && cat -- "$listings/$held"
done | $compression -c

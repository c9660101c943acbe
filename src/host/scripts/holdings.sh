# What is held here before a release is put in place. Set before: releases, listings, digest. First a line
# `whole|lacking zstd|gzip FREE_KIB`; then, compressed so, the listings of the other releases, each after a
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
free=$(df -k --output=avail -- "$releases" | tail -n 1)
printf '%s %s %s\n' "$state" "$compression" "${free##* }"
[ "$state" = lacking ] || exit 0
for directory in "$releases"/*; do
  held=${directory##*/}
  [ -e "$listings/$held" ] && [ "$held" != "$digest" ] && printf '= %s\n' "$held" && cat -- "$listings/$held"
done | $compression -c

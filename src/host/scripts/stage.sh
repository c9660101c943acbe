# Puts a release in place from the archive on standard input. Set before: releases, digest, sums
# (`DIGEST  ./PATH` a line). Never half a release: it is unpacked beside its place, verified, synced and
# renamed. What lies there already is the same by its name.
# shellcheck disable=SC2154 # variables that are set before
exec 2>&1
[ -d "$releases/$digest" ] && exit 0
new=$releases/.$digest.new
rm -rf -- "$new"
mkdir -p -- "$new"
tar -xz -C "$new" --no-same-owner || {
  echo "on the disk of $releases are free:$(df -h --output=avail -- "$releases" | tail -n 1)"
  rm -rf -- "$new"
  exit 1
}
if [ "$sums" ]; then (cd "$new" && printf '%s' "$sums" | sha256sum --check --quiet --strict -); fi
find "$new" -type d -exec chmod 0755 {} +
sync -f "$new"
mv -T -- "$new" "$releases/$digest"
sync "$releases"

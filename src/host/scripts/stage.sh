# Puts a release in place from what lies here and from the archive on standard input. Set before: releases,
# listings, digest; decompress; listed (the digest of its sorted listing); base (a release to begin from, or
# nothing), removed (paths of it, one a line), added (lines of the listing), shared (`RELEASE<tab>PATH<tab>PATH
# HERE` a line; the release `-` is this one). Never half a release: it is put together beside its place,
# checked byte for byte, synced and renamed. Ends with 65 when what was shared is damaged, and prints its paths.
# shellcheck disable=SC2154 # variables that are set before
exec 2>&1
set -e
umask 022
tab='	'
new=$releases/.$digest.new
listing=$listings/$digest.new
for left in "$new" "$releases/.$digest.old"; do [ ! -e "$left" ] || rm -rf -- "$left"; done
mkdir -p -- "$new" "$listings"

full() {
  echo "on the disk of $releases are free:$(df -h --output=avail -- "$releases" | tail -n 1)"
  rm -rf -- "$new" "$listing"
  exit 1
}
lines() { if [ "$1" ]; then printf '%s\n' "$1"; fi; }
share() { cp -a --reflink=always -T -- "$1" "$2" 2>/dev/null || { rm -rf -- "$2" && cp -al -T -- "$1" "$2"; }; }

{
  if [ "$base" ]; then
    { lines "$removed" | sed 's/^/- /' && cat -- "$listings/$base"; } | awk '/^- / { gone[substr($0, 3)]; next }
      { path = $1 == "link" ? substr($0, 6, index($0, " -> ") - 6) : substr($0, 71) } !(path in gone)'
  fi
  lines "$added"
} | LC_ALL=C sort >"$listing" || full
sum=$(sha256sum <"$listing")
if [ "${sum%% *}" != "$listed" ]; then
  echo "the listing of release $digest came out as ${sum%% *}, not as $listed"
  rm -rf -- "$new" "$listing"
  exit 1
fi
if [ "$base" ]; then
  share "$releases/$base" "$new" || full
  # What is not of this release goes before anything comes: what somebody left in the base too, and folders that are
  # empty then, for a file or a link may come in their place.
  { lines "$removed" && misplaced "$listing" "$new" | sed -n 's/^+ //p'; } |
    (cd -- "$new" && tr '\n' '\0' | xargs -0 -r rm -f --)
  find "$new" -mindepth 1 -type d -empty -delete
fi
$decompress | tar -x -C "$new" --no-same-owner || full
lines "$shared" | while IFS=$tab read -r release from to; do
  case $release in -) from=$new/$from ;; *) from=$releases/$release/$from ;; esac
  mkdir -p -- "$(dirname -- "$new/$to")" && share "$from" "$new/$to" || exit 1
done || full
# Links have no content that could be sent again: whatever became of them in the base, they are made of the listing.
sed -n 's/^link //p' "$listing" | while IFS= read -r link; do
  path=$new/${link%% -> *}
  mkdir -p -- "${path%/*}" && ln -sfT -- "${link#* -> }" "$path" || exit 1
done || full
# Those that come from nowhere else are made here, as they are to be.
[ ! "$base" ] || find "$new" -type d -exec chown root:root {} + -exec chmod 0755 {} +

differs=$(differing "$listing" "$new")
if [ "$differs" ]; then
  rm -rf -- "$new" "$listing"
  printf '%s\n' "$differs"
  exit 65
fi
sync -f "$new" "$listing"
mv -fT -- "$listing" "$listings/$digest"
old=
if [ -d "$releases/$digest" ]; then old=$releases/.$digest.old && mv -T -- "$releases/$digest" "$old"; fi
mv -T -- "$new" "$releases/$digest"
sync "$releases" "$listings"
[ ! "$old" ] || rm -rf -- "$old"
sign "$digest"

# Reads every byte of releases, prints those that are not what their listing says, and forgets their signature:
# the next look finds them changed then. Damage that a disk does, and a change that put size and time back as
# they were, are seen by reading only. Set before: digests, releases, listings.
# shellcheck disable=SC2154 # variables that are set before
for digest in $digests; do
  if [ ! -d "$releases/$digest" ] || [ ! -e "$listings/$digest" ]; then continue; fi
  if [ "$(differing "$listings/$digest" "$releases/$digest")" ]; then
    rm -f -- "$listings/$digest.signature"
    echo "$digest"
  fi
done

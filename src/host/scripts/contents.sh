# Of each file that can be read, and is small enough for a diff to be worth it, a line `SIZE PATH`; after an empty line
# the bytes of all of them, one after the other. Two programs, however many files.
contents() { # PATH...
  number=$#
  for path; do
    if [ -f "$path" ] && [ -r "$path" ]; then set -- "$@" "$path"; fi
  done
  shift "$number"
  [ $# != 0 ] || return 0
  # What is gone meanwhile has no line.
  sizes=$(stat -Lc '%s %n' -- "$@" 2>/dev/null)
  set --
  while read -r size path; do
    [ "${size:-65537}" -le 65536 ] || continue
    set -- "$@" "$path"
    printf '%s %s\n' "$size" "$path"
  done <<END
$sizes
END
  echo
  [ $# = 0 ] || head -qc 65536 -- "$@"
}

# Whether a release is what its listing says. Set before: listings, releases.
# shellcheck disable=SC2154 # variables that are set before

# Prints the paths in DIRECTORY that are not what LISTING says, by their content, mode or target; and, after
# `+ `, what is there and not listed. Mode 0444 or 0555, owned by root.
differing() { # LISTING DIRECTORY
  (
    cd -- "$2" || exit 1
    # shellcheck disable=SC2094 # it is only read
    awk '$1 != "link" { print $2 "  ./" substr($0, 71) }' "$1" | sha256sum --check --quiet 2>/dev/null | sed -n 's|^\./\(.*\): FAILED.*$|\1|p'
  )
  misplaced "$1" "$2"
}

# The same, as far as it is told without reading a file. Folders have no line in a listing: all may look in, and root
# alone may write.
misplaced() { # LISTING DIRECTORY
  (
    cd -- "$2" || exit 1
    find . -type d \( ! -perm -0555 -o -perm /022 -o ! -user root \) -printf 'folder %P\n'
    find . -mindepth 1 ! -type d -printf '%y %m %u %P\t%l\n' | LC_ALL=C awk -F '\t' '
      NR == FNR {
        if ($0 ~ /^link /) { at = index($0, " -> "); wanted[substr($0, 6, at - 6)] = "l " substr($0, at + 4) }
        else wanted[substr($0, 71)] = "f " substr($0, 2, 3) " root"
        next
      }
      {
        split($1, word, " ")
        path = substr($1, length(word[1]) + length(word[2]) + length(word[3]) + 4)
        is = word[1] == "l" ? "l " $2 : word[1] " " word[2] " " word[3]
        seen[path]
        if (!(path in wanted)) print "+ " path
        else if (wanted[path] != is) print path
      }
      # A file that is missing is found by whoever reads it.
      END { for (path in wanted) if (wanted[path] ~ /^l / && !(path in seen)) print path }' "$1" -
  )
}

# Notes what a release looks like now that every byte of it was checked.
sign() { # DIGEST
  signature "$releases/$1" >"$listings/$1.signature.new" && mv -fT -- "$listings/$1.signature.new" "$listings/$1.signature"
}

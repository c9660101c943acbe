# For each file: its size, a line break and its bytes; `-` where it cannot be read, or is too large for a diff to be worth it.
content() { # PATH
  if [ -f "$1" ] && [ -r "$1" ] && size=$(stat -Lc %s -- "$1") && [ "$size" -le 65536 ]; then
    echo "$size"
    head -c "$size" -- "$1"
  else
    echo -
  fi
}

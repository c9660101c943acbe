# Asks a service whether it is healthy. Set before: seconds, url, port, path, text (that the answer has to contain; empty: any
# answer will do), limit (so many bytes of it are searched), get (get.bash).
# shellcheck disable=SC2154 # variables that are set before
if command -v curl >/dev/null; then
  curl --path-as-is -fsS -o /dev/null --max-time "$seconds" "$url" 2>&1 && {
    [ -z "$text" ] ||
      # curl's own end is lost where another program reads what it prints, so it asks a second time.
      curl --path-as-is -fsS --max-time "$seconds" "$url" 2>/dev/null | head -c "$limit" | grep -aqF -e "$text" || {
      echo "GET $path answered without \`$text\` in its body"
      exit 22
    }
  }
else
  timeout "$seconds" bash -c "$get" "$port" "$path" "$text" "$limit" 2>&1
fi

# Asks a service whether it is healthy. Set before: seconds, url, port, path, get (get.bash).
# shellcheck disable=SC2154 # variables that are set before
if command -v curl >/dev/null; then
  curl --path-as-is -fsS -o /dev/null --max-time "$seconds" "$url" 2>&1
else
  timeout "$seconds" bash -c "$get" "$port" "$path" 2>&1
fi

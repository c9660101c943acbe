# Prints, for each path, `path PATH` and the journal's lines around the time of its last change. Set before: the paths as
# arguments, before and after (seconds).
# shellcheck disable=SC2154 # variables that are set before
for path in "$@"; do
  printf 'path %s\n' "$path"
  # A file that is gone has no time; its folder's tells when it went.
  at=$(stat -c %Z -- "$path" 2>/dev/null || stat -c %Z -- "${path%/*}") || continue
  journalctl --no-pager -q -o short-unix --since "@$((at - before))" --until "@$((at + after))" \
    _COMM=sshd + _COMM=sshd-session + _COMM=sudo 2>/dev/null | tail -n 50
done
true

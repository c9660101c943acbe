# The units that whatever this script came in by leads through: of its own process and of all that started it. Sets
# `way`, a unit a line. Starts no program.
# shellcheck disable=SC2034 # `way` is for who calls it
way_in() {
  way=
  process=$$
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    while IFS= read -r line; do
      case $line in 0::/?* | *:name=systemd:/?*) way="$way${line##*/}
" && break ;; esac
    done 2>/dev/null <"/proc/$process/cgroup"
    parent=
    while read -r field value; do
      case $field in PPid:) parent=$value && break ;; esac
    done 2>/dev/null <"/proc/$process/status"
    process=${parent:-0}
    [ "$process" -gt 1 ] || break
  done
}

# Unpacks a phase from standard input, and has systemd run it. Set before: deployment and phase (its folder, and its
# number there), events (its file), unit, limit. After transient.sh, drop_ins.sh and way_in.sh; follow.sh comes after it.
# A phase that was begun already, by a call whose answer was lost, is only followed.
#
# A phase travels as a tar archive: `apply.sh`, `undo.sh`, `stop.sh` and the bytes. It runs as the transient unit
# `evenkeel-<fleet>.service`:
#
# - the unit's name excludes a second one;
# - it goes on without the controller, for at most 15 minutes;
# - a megabyte and 32 inodes of its disk are set aside first, for undoing and for telling of it: on a full disk nothing is
#   begun;
# - `undo.sh` lies beside the phases and is replaced as a whole, for an earlier phase needs it too;
# - `ExecStopPost` runs `stop.sh` however it ended. After a failure or a kill that runs `undo.sh`.
#
# shellcheck disable=SC2154 # variables that are set before
set -e
exec 2>&1

# Undoing needs room, and so does telling of it. A megabyte and a few files are set aside for that before anything
# changes (`undo.sh` gives them back), so on a disk that is full nothing is begun.
full() {
  rm -rf "$deployment/reserve" "$deployment/reserved-files"
  echo "on the disk of $deployment are free:$(df -h --output=avail -- "$deployment" | tail -n 1), and inodes:$(df --output=iavail -- "$deployment" | tail -n 1); a megabyte and 32 inodes are needed"
  exit 1
}
files() {
  mkdir -p "$deployment/reserved-files" || return 1
  set --
  while [ $# -lt 32 ]; do set -- "$@" "$deployment/reserved-files/$#"; done
  touch -- "$@" 2>/dev/null
}
# An earlier phase is undone by `undo.sh`, too: it is replaced as a whole. `begin` of apply.sh syncs the folder.
unpack() {
  # shellcheck disable=SC2174 # those above are for all to look in
  [ -d "$deployment" ] || mkdir -p -m 0700 "$deployment" || { df -i -- "${deployment%/*}"; exit 1; }
  [ -e "$deployment/reserve" ] || { head -c 1048576 /dev/zero >"$deployment/reserve" && files; } || full
  # shellcheck disable=SC2015 # in each case
  tar -x -C "$deployment" && sync "$deployment/reserve" "$deployment/$phase/undo.sh" &&
    mv -fT "$deployment/$phase/undo.sh" "$deployment/undo.sh" || full
  way_in
  printf '%s' "$way" >"$deployment/$phase/way-in" || full
}
if [ ! -e "$events" ]; then
  unpack
  run_as_unit "/bin/sh $deployment/$phase/stop.sh" "$deployment/$phase/apply.sh"
fi

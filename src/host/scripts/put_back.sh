# Has a deployment undone, or a phase of it. Set before: deployment (its folder), phase (empty: all), goal (what undo.sh is
# given: the phase, or `open` for what was begun to be undone), unit, limit. After transient.sh. Empty lines tell that the
# host is there.
# shellcheck disable=SC2154 # variables that are set before
[ -e "$deployment/undo.sh" ] || exit 0
while runs; do echo; sleep 0.02; done
whole() { [ -e "$1/undone" ] && [ ! -e "$1/not-running" ]; }
[ -e "$deployment/undone" ] && ! ls "$deployment"/*/not-running >/dev/null 2>&1 && exit 0
[ -z "$phase" ] || [ -e "$deployment/$phase/journal" ] || exit 0
set -e
run_as_unit '' "$deployment/undo.sh" "$goal"
while runs; do echo; sleep 0.02; done
[ "$goal" != open ] || [ -e "$deployment/undoing" ] || exit 0
for folder in "$deployment"/*; do
  if [ "${phase:-${folder##*/}}" != "${folder##*/}" ] || [ ! -e "$folder/journal" ] || whole "$folder"; then continue; fi
  said=$(sed -n 's/^undo-failed	\([^	]*\)	/\1: /p' "$folder/events" | sort -u | tail -n 5 | tr '\036' ' ')
  [ "$said" ] || said="no reason is in $folder/events: a full disk or a killed script; see journalctl -u $unit there, then: sudo sh $deployment/undo.sh"
  printf '%s\n' "$said"
  exit 1
done

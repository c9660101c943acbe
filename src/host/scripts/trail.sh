# What became of a deployment: `STATE NEWEST_PHASE`, and the last line of a step that failed. Set before: deployment (its
# folder), unit. After transient.sh.
# shellcheck disable=SC2154 # variables that are set before
newest=0 begun=''
for journal in "$deployment"/*/journal; do
  phase=${journal%/journal} phase=${phase##*/}
  case $phase in *[!0-9]*) continue ;; esac
  begun=yes
  [ "$phase" -le "$newest" ] || newest=$phase
done
if runs; then state=running
elif [ -z "$begun" ]; then state=nothing
elif [ -e "$deployment/undone" ]; then state=undone
elif [ -e "$deployment/undoing" ]; then state=broken
elif [ -e "$deployment/finished" ]; then state=finished
elif tail -n 1 "$deployment/$newest/events" 2>/dev/null | grep -q '^end	success	'; then state=between
else state=broken
fi
echo "$state $newest"
# A step that a host's end took with it is no failure of the step: nothing is said then of how the phase ended.
if grep -qs '^end	' "$deployment/$newest/events"; then cat "$deployment"/*/events | grep '^failed	' | tail -n 1; fi
true

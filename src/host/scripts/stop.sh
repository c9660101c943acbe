# Run by systemd whenever a phase's script ends, also when it was killed or ran out of time. Source of `SERVICE_RESULT`:
# systemd.exec(5). A script that is told to stop, by a fence or by a host that goes down, has ended well for systemd
# (`SuccessExitStatus=` in systemd.service(5)); for us it was cut off. Set before: deployment (its folder), phase, events,
# undo (empty: a failure stays as it is).
# shellcheck disable=SC2154 # variables that are set before
undone=-
result=$SERVICE_RESULT
[ "$result-$EXIT_CODE" != success-killed ] || result=stopped
if [ "$result" != success ]; then
  if [ "$undo" ] && sh "$deployment/undo.sh" "$phase"; then undone=yes; else undone=no; fi
fi
printf 'end\t%s\t%s\n' "$result" "$undone" >>"$events"
